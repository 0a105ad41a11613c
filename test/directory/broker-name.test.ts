import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { type Exit, runCommand } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const FINGERPRINT = "SHA256:zoDFW6rP8ngC8URg2sG/m9Rij43qu8M++V+B72RnQQs";
const ADDRESS = `http://np.example.org:7800#${FINGERPRINT}`;

test("what a device is called at a broker is printed for an address that is given or in the environment", async () => {
  const given = await run({}, "broker-name", "@device/mygateway", "--directory", ADDRESS);
  expect(given).toMatchObject({ code: 0, stdout: `${described("@device/mygateway")}\n`, stderr: "" });
  expect(await run({ SSHNP_DIRECTORY: ADDRESS }, "broker-name", "@device/mygateway")).toEqual(given);
  const other = await run({ SSHNP_DIRECTORY: ADDRESS }, "broker-name", "@device/scanner");
  expect(other.stdout).toBe(`${described("@device/scanner")}\n`);
});

test.each([
  ["no directory is said", {}, ["@device/mygateway"]],
  ["the address has no fingerprint", {}, ["@device/mygateway", "--directory", "http://np.example.org:7800"]],
  ["no device is said", { SSHNP_DIRECTORY: ADDRESS }, ["@device"]],
  ["it is no device", { SSHNP_DIRECTORY: ADDRESS }, ["@device/mygateway/more"]],
  ["its name is none", { SSHNP_DIRECTORY: ADDRESS }, ["device/mygateway"]],
])("when %s, nothing is printed", async (_why, env, words) => {
  const exit = await run(env, "broker-name", ...words);
  expect(exit).toMatchObject({ code: 2, stdout: "" });
  expect(exit.stderr).toContain("[E_USAGE]");
});

async function run(env: Record<string, string>, ...words: string[]): Promise<Exit> {
  await using home = await temporaryFolder();
  return await runCommand("sshnp-directory", words, { env: { HOME: home.path, ...env } });
}

/** As docs/mqtt.md describes it. */
function described(device: string): string {
  const hash = createHash("sha256");
  for (const word of ["sshnp/1", "topic", "device", FINGERPRINT, device]) {
    hash.update(Buffer.of(0, word.length)).update(word);
  }
  return hash.digest("hex").slice(0, 32);
}
