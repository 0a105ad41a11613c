import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compareWords, fingerprintWords } from "../../keys/fingerprint-words.ts";
import { parseFingerprint } from "../../keys/openssh.ts";
import { readPins } from "../../keys/peer-files.ts";
import type { PrivateFolder } from "../../keys/private-folder.ts";
import { commandFile, type Exit, runCommand, runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { device, HOST, OWNER, pinnedIn } from "./pinned.ts";

const OTHER = "SHA256:MyL1WZkzyUaWHJQ6pIEzVEKkZ0WmDi9RTe5KNzHeUaE";
const PRINTABLE = /^[\n\t -~]*$/;

test.each([
  ["ls", ["ls"]],
  ["ls-json", ["ls", "--json"]],
  ["show-name", ["show", "@device"]],
  ["show-host", ["show", HOST]],
  ["show-json", ["show", HOST, "--json"]],
  ["show-qr", ["show", HOST, "--qr"]],
])("what sshnp trust prints is as it was: %s", async (file, words) => {
  await using folder = await temporaryFolder();
  const keys = await pinnedIn(folder.path);
  expect((await trust(keys, "accept", HOST, OTHER)).code).toBe(0);
  const exit = await trust(keys, ...words);
  expect(exit).toMatchObject({ code: 0, stderr: "" });
  await expect(exit.stdout).toMatchFileSnapshot(`trust-${file}.golden.txt`);
});

test("what show prints of SSH keys is what ssh-keygen prints of them", async () => {
  await using folder = await temporaryFolder();
  const keys = await pinnedIn(folder.path);
  const { owner, member } = await readPins(keys, device);
  const signing = device.ed25519.publicKey.bytes;
  const blob = Buffer.concat([Buffer.from("\0\0\0\x0bssh-ed25519\0\0\0\x20", "latin1"), signing]);
  const lines = [owner?.owner, ...(member?.hostKeys ?? []), `ssh-ed25519 ${blob.toString("base64")}`];
  const file = join(folder.path, "keys.pub");
  writeFileSync(file, lines.join("\n"));
  const listed = await runProcess("ssh-keygen", ["-lf", file], { env: { HOME: folder.path } });
  const fingerprints = listed.stdout.match(/SHA256:\S+/g) ?? [];
  expect(fingerprints).toHaveLength(3); // ssh-keygen skips the ECDSA key, whose point is none
  const { stdout } = await trust(keys, "show", "@device");
  for (const text of fingerprints) expect(stdout).toContain(`  ${text}\n`);
});

test("the words that are shown are those of the fingerprint above them, and accept takes them", async () => {
  await using folder = await temporaryFolder();
  const keys = await pinnedIn(folder.path);
  const blocks = [...(await trust(keys, "show", "@device")).stdout.matchAll(/^ {2}(SHA256:\S+)\n {2}(.+)\n/gm)];
  expect(blocks).toHaveLength(5);
  for (const [, text = "", words = ""] of blocks)
    expect(await compareWords(parseFingerprint(text), [words])).toEqual([]);
  const [, text = "", words = ""] = blocks[0] ?? [];
  for (const heard of [words.split(" "), [words.toUpperCase()]]) {
    const exit = await trust(keys, "accept", "@device", text, ...heard);
    expect(exit).toMatchObject({ code: 0, stdout: "", stderr: expect.stringContaining("The words are its own.") });
  }
  expect((await readPins(keys, device)).owner?.accepted).toEqual([text]);
});

test.each([
  ["@device", "E_OWNER_KEY"],
  [HOST, "E_HOST_KEY"],
])("a key for %s whose words were not the ones heard is not accepted", async (subject, code) => {
  await using folder = await temporaryFolder();
  const keys = await pinnedIn(folder.path);
  const before = await readPins(keys, device);
  const heard = await fingerprintWords(OWNER);
  const exit = await trust(keys, "accept", subject, OTHER, ...heard.split(" "));
  expect(exit).toMatchObject({ code: 76, stdout: "" });
  expect(exit.stderr).toMatch(
    new RegExp(
      `Those are not the words of ${OTHER.replaceAll("+", "\\+")}: numbers 1, 2.* differ\\. Nothing.*\\n.*\\n.*\\[${code}\\]`,
    ),
  );
  expect(await readPins(keys, device)).toEqual(before);
});

test("accept without words tells them, for somebody to be asked", async () => {
  await using folder = await temporaryFolder();
  const exit = await trust(await pinnedIn(folder.path), "accept", HOST, OTHER);
  expect(exit.stderr).toBe(
    `sshnp: ${HOST} may come with ${OTHER} at the next connect. In words: ${await fingerprintWords(parseFingerprint(OTHER))}\n`,
  );
});

test("the QR code's text is an argument that sshnp takes", async () => {
  await using folder = await temporaryFolder();
  const keys = await pinnedIn(folder.path);
  const [argument = ""] = (await trust(keys, "show", "@device", "--qr")).stdout.split("\n");
  expect(argument).toBe(`@device=${OWNER}`);
  const exit = await runCommand("sshnp", [argument, "mygateway"], { env: { HOME: folder.path } });
  expect(exit.stderr).toContain("[E_NO_KEYS]"); // and not E_USAGE
});

test.each([
  [["show", "@nobody"], 68, "E_UNKNOWN_NAME"],
  [["show", "printer.device.np"], 68, "E_UNKNOWN_NAME"],
  [["show", "@nobody", "--qr"], 68, "E_UNKNOWN_NAME"],
  [["show"], 2, "E_USAGE"],
  [["show", "../x"], 2, "E_USAGE"],
  [["show", "@device", HOST], 2, "E_USAGE"],
  [["show", "@device", "--json", "--qr"], 2, "E_USAGE"],
  [["accept", "@device", OTHER, "abandon"], 2, "E_USAGE"],
  [["accept", "@device", OTHER, ..."a b c d e f g h i \u202e".split(" ")], 2, "E_USAGE"],
  [["accept", "@device", ..."zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo".split(" ")], 2, "E_USAGE"],
])("sshnp trust %j ends with %d", async (words, code, name) => {
  await using folder = await temporaryFolder();
  const exit = await trust(await pinnedIn(folder.path), ...words);
  expect(exit).toMatchObject({
    code,
    stdout: "",
    stderr: expect.stringMatching(new RegExp(`\\[${name}\\]|"code":"${name}"`)),
  });
  expect(exit.stderr).toMatch(PRINTABLE);
});

const HOSTILE = "\u001b]0;owned\u0007\u202e\u2066ssh-ed25519 \u009b2J";
/** What somebody may write into a pin file, and what is still shown with it. */
const WRITTEN: readonly (readonly [
  what: string,
  file: string,
  change: (pin: Record<string, unknown>) => void,
  shows: RegExp,
])[] = [
  ["an owner key", "peer.@device.json", (pin) => (pin["owner"] = HOSTILE), /^@depot\towner/],
  ["a comment of an owner key", "peer.@device.json", (pin) => (pin["owner"] += " \u202eevil"), /^@device\towner/m],
  [
    "a comment of a host key",
    "peer.@device.mygateway.json",
    (pin) => ((pin["hostKeys"] as string[])[0] += " \u202e"),
    /^@depot\towner.*\n@device\towner/,
  ],
  ["a host key", "peer.@device.mygateway.json", (pin) => (pin["hostKeys"] = [HOSTILE]), /^@device\towner/m],
  ["another name", "peer.@device.json", (pin) => (pin["name"] = HOSTILE), /^@depot\towner/],
  ["an origin", "peer.@device.json", (pin) => (pin["origin"] = HOSTILE), /^@depot\towner/],
  ["an accepted key", "peer.@device.mygateway.json", (pin) => (pin["accepted"] = [HOSTILE]), /^@device\towner/m],
  [
    "a binding",
    "peer.@device.mygateway.json",
    (pin) => ((pin["binding"] as Record<string, unknown>)["text"] = HOSTILE),
    /^@depot\towner.*\n@device\towner/,
  ],
  ["a field", "peer.@device.json", (pin) => (pin[HOSTILE] = HOSTILE), /^@depot\towner/],
  [
    "the last moment of numbers",
    "peer.@device.json",
    (pin) => (pin["since"] = Number.MAX_SAFE_INTEGER),
    /^@device\towner\t\S+\tfirst contact\t9999-12-31$/m,
  ],
];

test.each(WRITTEN)("hostile text as %s in a pin file never reaches the terminal", async (_, name, change, shows) => {
  await using folder = await temporaryFolder();
  const keys = await pinnedIn(folder.path);
  const file = join(keys.path, "state", name);
  const pin = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  change(pin);
  writeFileSync(file, `${JSON.stringify(pin, undefined, 2)}\n`);
  const list = await trust(keys, "ls");
  expect(list.stdout).toMatch(shows); // what can be read is shown
  for (const words of [["ls"], ["ls", "--json"], ["show", "@device"], ["show", HOST, "--json"]]) {
    const exit = await trust(keys, ...words);
    expect(exit.stdout + exit.stderr).toMatch(PRINTABLE);
    const told = words.includes("--json")
      ? /^\{"v":1,"error":\{"code":"E_BAD_KEY_FILE",.*is damaged\."/
      : /^sshnp: .*is damaged\.\n.*\n +\[E_BAD_KEY_FILE\]\n$/;
    expect(exit.stderr).toMatch(exit.code === 0 ? /^$/ : told);
    expect([0, 65]).toContain(exit.code);
  }
  // What the message says helps.
  expect((await trust(keys, "forget", "@device")).code).toBe(0);
  expect(await trust(keys, "ls")).toMatchObject({ code: 0, stdout: expect.not.stringContaining("device"), stderr: "" });
});

test("a pin of another member than its file's name says is damaged", async () => {
  await using folder = await temporaryFolder();
  const keys = await pinnedIn(folder.path);
  const state = join(keys.path, "state");
  const text = readFileSync(join(state, "peer.@device.mygateway.json"), "utf8");
  writeFileSync(join(state, "peer.@device.printer.json"), text, { mode: 0o600 });
  const exit = await trust(keys, "show", "printer.device.np");
  expect(exit).toMatchObject({ code: 65, stdout: "", stderr: expect.stringContaining("printer.device.np is damaged") });
});

test("a full disk under what was asked for is a failure, a reader that has gone is none", async () => {
  await using folder = await temporaryFolder();
  const keys = await pinnedIn(folder.path);
  const env = { HOME: folder.path, SSHNP_KEYS: keys.path };
  const inShell = (line: string) =>
    runProcess("sh", ["-c", line, "sh", process.execPath, commandFile("sshnp")], { env });
  const onFull = await inShell('"$1" "$2" trust ls >/dev/full');
  expect(onFull).toMatchObject({ code: 74, stderr: expect.stringContaining("[E_STORAGE]") });
  expect(await inShell('{ "$1" "$2" trust ls; echo "$?" >&2; } | true')).toMatchObject({ code: 0, stderr: "0\n" });
});

function trust(keys: PrivateFolder, ...words: string[]): Promise<Exit> {
  return runCommand("sshnp", ["trust", ...words], { env: { HOME: keys.path, SSHNP_KEYS: keys.path } });
}
