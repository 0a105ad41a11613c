import { expect, test } from "vitest";
import { NO_DEFAULTS, readDefaults } from "../../sshnp/settings.ts";
import { readTarget } from "../../sshnp/target.ts";

const FINGERPRINT = "SHA256:9gO7nVnPcPZwDbAtAjPyPqYSKUGVDnmcjPZdRPYm6cA";

// The words, and whom they name: client, device, owner, user, words read.
test.each([
  ["@device gw", "- gw.device.np - - 2"],
  ["@client @device gw", "@client gw.device.np - - 3"],
  ["@client @device pi@gw uptime", "@client gw.device.np - pi 3"],
  [`@device=${FINGERPRINT} gw`, `- gw.device.np ${FINGERPRINT} - 2`],
  ["gw.device.np", "- gw.device.np - - 1"],
  ["pi@gw.device.np 8080:localhost:80", "- gw.device.np - pi 1"],
  ["@client pi@gw.device.np", "@client gw.device.np - pi 2"],
])("%s", (line, expected) => {
  expect(shown(readTarget(line.split(" "), NO_DEFAULTS, "usage"))).toBe(expected);
});

test.each([
  ["gw", "@me gw.acme.np - - 1"],
  ["pi@gw @device", "@me gw.acme.np - pi 1"],
  ["gw.device.np", "@me gw.device.np - - 1"],
  ["@device gw", "@me gw.device.np - - 2"],
  ["@client @device gw", "@client gw.device.np - - 3"],
])("with SSHNP_CLIENT=@me and SSHNP_DEVICE=@acme: %s", (line, expected) => {
  const defaults = readDefaults({ SSHNP_CLIENT: "@me", SSHNP_DEVICE: "@acme" });
  expect(shown(readTarget(line.split(" "), defaults, "usage"))).toBe(expected);
});

test.each([
  ["", "Whom to connect to is missing."],
  ["gw", '"gw" is not a name, which begins with @.'],
  ["@device", "Which device of @device is missing."],
  ["@client @device", "Which device of @device is missing."],
  ["@device -v gw", 'The option "-v" stands where a name belongs.'],
  ["gw.np", '"gw.np" is not the host name of a device.'],
  ["@client @device gw.device.np", '"gw.device.np" is not a name for a device or client.'],
  ["a@b@gw.device.np", '"a@b" is not a user name.'],
  ["@device ls", '"ls" is not a name for a device or client.'],
])("refused: %s", (line, message) => {
  const words = line === "" ? [] : line.split(" ");
  expect(() => readTarget(words, NO_DEFAULTS, "usage")).toThrow(expect.objectContaining({ code: "E_USAGE", message }));
});

test("a default that is no name is told by its variable", () => {
  expect(() => readDefaults({ SSHNP_DEVICE: "device" })).toThrow('SSHNP_DEVICE: "device" is not a name.');
  expect(readDefaults({ SSHNP_CLIENT: "" })).toEqual(NO_DEFAULTS);
});

function shown({ client, device, owner, user, words }: ReturnType<typeof readTarget>): string {
  const host = `${device.member}.${device.name.slice(1)}.np`;
  return [client ?? "-", host, owner ?? "-", user ?? "-", words].join(" ");
}
