import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startBuilt } from "../../support/built-module.ts";
import { temporaryFolder } from "../../support/temp-folder.ts";

test("a daemon whose built-in server nobody has come to yet does not hold ssh2 in memory", async () => {
  await using folder = await temporaryFolder();
  const keys = join(folder.path, "keys");
  await mkdir(keys, { mode: 0o700 });
  const { code, stdout, stderr } = await startBuilt(folder, SCRIPT, keys).exit();
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toBe("host keys: 1, of ssh2: 0\nSSH-2.0-sshnpd\nof ssh2: true\n");
});

const SCRIPT = `
const { createRequire } = await import("node:module");
const { Duplex, PassThrough } = await import("node:stream");
const { PrivateFolder } = await load("keys/private-folder.js");
const { createLog } = await load("sshnpd/log.js");
const { BuiltinServer } = await load("sshnpd/builtin/server.js");
const loaded = () => Object.keys(createRequire("/").cache).filter((path) => path.includes("/ssh2/")).length;
const server = await BuiltinServer.open({ folder: await PrivateFolder.openOrCreate(argument), log: createLog(false) });
console.log("host keys: " + server.hostKeys().length + ", of ssh2: " + loaded());
const [input, output] = [new PassThrough(), new PassThrough()];
const attended = server.attend(Duplex.from({ readable: input, writable: output }), { client: "@client", member: "laptop", login: "" });
output.once("data", (bytes) => {
  console.log(bytes.toString().trim());
  console.log("of ssh2: " + (loaded() > 0));
  input.end();
});
await attended;
process.exit(0);
`;
