import { afterAll, beforeAll, expect, test } from "vitest";
import { fingerprintWords } from "../../keys/fingerprint-words.ts";
import { parseFingerprint } from "../../keys/openssh.ts";
import { Stack } from "../support/stack.ts";

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start();
});
afterAll(() => stack[Symbol.asyncDispose]());

test("owner and stranger see the same fingerprint and the same words, and what the one gives the other takes", async () => {
  const { device, client } = stack;
  const shown = await device.must("sshnp-keys", "show", "@device");
  const [, key = "", words = ""] = /^@device: owner key\n {2}(SHA256:\S{43})\n {2}([a-z ]+)\n/.exec(shown) ?? [];
  expect(words).toBe(await fingerprintWords(parseFingerprint(key)));

  const first = await stack.ssh("true");
  expect(first).toMatchObject({ code: 0, stdout: "" });
  expect(first.stderr).toBe(
    `sshnp: @device is new here: owner ${key} (not compared with anybody; sshnp @device=SHA256:... compares)\n` +
      `sshnp: In words, as sshnp-keys show @device has them: ${words}\n`,
  );
  expect(await stack.ssh("true")).toMatchObject({ code: 0, stderr: "" }); // known from then on

  const pinned = await client.must("sshnp", "trust", "show", "@device");
  expect(pinned).toContain(`@device: owner key (first contact, since `);
  expect(pinned).toContain(`)\n  ${key}\n  ${words}\n`);
  // The keys of the device, as the device itself has them.
  const own = [...shown.matchAll(/^ {2}key for (?:handshakes|signatures) .*\n {2}(SHA256:\S{43})$/gm)].map(
    ([, text]) => text,
  );
  expect(own).toHaveLength(2);
  for (const text of own) expect(pinned).toContain(`\n  ${text}\n`);
  expect(await client.must("sshnp", "trust", "show", "mygateway.device.np")).toBe(pinned);

  const [argument = ""] = (await device.must("sshnp-keys", "show", "@device", "--qr")).split("\n");
  expect((await client.must("sshnp", "trust", "show", "@device", "--qr")).split("\n")[0]).toBe(argument);
  const given = stack.words("true").map((word) => (word === "@device" ? argument : word));
  expect(await client.run("sshnp", ...given)).toMatchObject({ code: 0, stderr: "" });
  expect(await client.must("sshnp", "trust", "ls")).toContain(`@device\towner\t${key}\tgiven\t`);
});
