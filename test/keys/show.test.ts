import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeMemberFile, writeOwnerFile } from "../../keys/end-key-files.ts";
import { fingerprintWords } from "../../keys/fingerprint-words.ts";
import { ed25519Line, fingerprint, parseFingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { Secret } from "../../keys/secret.ts";
import { signFirstBinding } from "../../protocol/statements.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { NOW, repeatableRandom } from "../protocol/fixtures.ts";
import { commandFile, type Exit, runCommand, runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { newMember, newOwner } from "./end-keys.ts";

const NAME = "@acme";
const PASSPHRASE = { passphrase: Secret.fromText("correct horse"), scryptWorkFactor: 4 };
const GUARDED = "(guarded by a passphrase, not opened)";

/** A name with a device and a client, the same in every run; the client's binding ends at `expires`. */
function acme(expires: number | null = NOW) {
  const random = repeatableRandom("show");
  const owner = newOwner(suite, NAME, random);
  const device = newMember(suite, owner, "mygateway", "device", random);
  const unbound = newMember(suite, owner, "laptop-client", "client", random);
  const { name, member, role } = unbound;
  const [x25519, ed25519] = [unbound.x25519.publicKey, unbound.ed25519.publicKey];
  const binding = signFirstBinding(suite, random, owner.privateKey, {
    ...{ name, member, role, x25519, ed25519, issued: NOW - 1, expires },
  });
  const key = fingerprint(suite, parsePublicKeyLine(ed25519Line(owner.privateKey.publicKey)).blob);
  return { owner, device, client: { ...unbound, statements: [owner.statement, binding] }, key };
}

test.each([
  ["text", []],
  ["json", ["--json"]],
  ["qr", ["--qr"]],
])("what sshnp-keys show prints is as it was: %s", async (file, words) => {
  await using folder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  const { owner, device, client } = acme();
  await writeOwnerFile(keys, owner);
  await writeMemberFile(keys, device);
  await writeMemberFile(keys, client, PASSPHRASE);
  const exit = await show(keys, NAME, ...words);
  expect(exit).toMatchObject({ code: 0, stderr: "" });
  await expect(exit.stdout.replaceAll(keys.path, "/home/me/keys")).toMatchFileSnapshot(`show-${file}.golden.txt`);
});

test("the owner key is the one that ssh-keygen sees, and the words are its own", async () => {
  await using folder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  const { owner, client } = acme();
  await writeMemberFile(keys, client);
  const file = join(folder.path, "owner.pub");
  writeFileSync(file, ed25519Line(owner.privateKey.publicKey));
  const listed = await runProcess("ssh-keygen", ["-lf", file], { env: { HOME: folder.path } });
  const [text = ""] = /SHA256:\S+/.exec(listed.stdout) ?? [];
  const words = await fingerprintWords(parseFingerprint(text));
  const { stdout } = await show(keys, NAME);
  expect(stdout).toContain(`${NAME}: owner key\n  ${text}\n  ${words}\n  its file is not in this folder\n`);
  expect(stdout).toMatch(/^laptop-client of @acme: client, its binding ended 2026-01-01$/m);
});

test("the key for handshakes has the fingerprint that its bytes say", async () => {
  await using folder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  const { device } = acme();
  await writeMemberFile(keys, device);
  const blob = Buffer.concat([Buffer.from("\0\0\0\x06x25519\0\0\0\x20", "latin1"), device.x25519.publicKey.bytes]);
  const hash = createHash("sha256").update(blob).digest("base64").slice(0, -1);
  expect((await show(keys, NAME)).stdout).toContain(`  key for handshakes (X25519)\n  SHA256:${hash}\n`);
});

test("a file with a passphrase stays closed, and what others tell is shown", async () => {
  await using folder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  const { owner, device, client, key } = acme();
  await writeOwnerFile(keys, owner, PASSPHRASE);
  await writeMemberFile(keys, client, PASSPHRASE);
  // Not even where the passphrase is at hand.
  writeFileSync(join(folder.path, "passphrase"), "correct horse\n");
  const env = { SSHNP_PASSPHRASE_FILE: join(folder.path, "passphrase") };
  const closed = await show(keys, NAME, { env });
  expect(closed).toMatchObject({ code: 0, stderr: "" });
  expect(closed.stdout).toBe(
    `@acme: owner key\n  not known here without a passphrase\n  ${keys.path}/@acme.owner.npkeys ${GUARDED}\n` +
      `laptop-client of @acme: member\n  ${keys.path}/@acme.laptop-client.npkeys ${GUARDED}\n`,
  );
  expect(await show(keys, NAME, "--qr", { env })).toMatchObject({
    code: 77,
    stdout: "",
    stderr: expect.stringContaining("[E_PASSPHRASE]"),
  });
  await writeMemberFile(keys, device);
  expect((await show(keys, NAME)).stdout).toContain(`@acme: owner key\n  ${key}\n`);
  expect((await show(keys, NAME, "--qr")).stdout).toContain(`@acme=${key}\n`);
});

test.each([
  [null, "its binding has no end"],
  [NOW + 1000 * 365 * 86_400_000, "its binding ends 3025-"],
  [8_640_000_000_000_000, "its binding ends 9999-12-31"],
])("a binding that ends at %d is said so", async (expires, text) => {
  await using folder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  await writeMemberFile(keys, acme(expires).client);
  expect((await show(keys, NAME)).stdout).toContain(`laptop-client of @acme: client, ${text}`);
});

test("no private key is in what is shown", async () => {
  await using folder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  const { owner, device } = acme();
  const paths = [await writeOwnerFile(keys, owner), await writeMemberFile(keys, device)];
  const secrets = paths.flatMap((path) => readFileSync(path, "utf8").match(/"[A-Za-z0-9+/]{43}="/g) ?? []);
  expect(secrets.length).toBeGreaterThanOrEqual(3);
  for (const words of [[], ["--json"], ["--qr"]]) {
    const { stdout } = await show(keys, NAME, ...words);
    for (const secret of secrets) expect(stdout).not.toContain(secret.slice(1, -2));
  }
});

test("key files that name different owner keys are told apart", async () => {
  await using folder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  const { device } = acme();
  const stranger = newOwner(suite, NAME);
  await writeMemberFile(keys, device);
  await writeMemberFile(keys, newMember(suite, stranger, "other", "client"));
  const exit = await show(keys, NAME);
  expect(exit).toMatchObject({ code: 65, stdout: "", stderr: expect.stringContaining("[E_BAD_KEY_FILE]") });
  expect(exit.stderr.match(/SHA256:\S+ in \S+\.npkeys/g)).toHaveLength(2);
});

test("a folder whose name would be obeyed by a terminal is shown escaped", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "\u001b[2J\u202ekeys\n");
  const keys = await PrivateFolder.openOrCreate(path);
  await writeMemberFile(keys, acme().client);
  for (const words of [[], ["--json"]]) {
    const exit = await show(keys, NAME, ...words);
    expect(exit.code).toBe(0);
    expect(exit.stdout + exit.stderr).toMatch(/^[\n -~]+$/);
  }
  const json = JSON.parse((await show(keys, NAME, "--json")).stdout) as { members: { path: string }[] };
  expect(json.members[0]?.path).toBe(join(path, "@acme.laptop-client.npkeys"));
});

test.each([
  [["@nobody"], 78, "E_NO_KEYS"],
  [[], 2, "E_USAGE"],
  [["acme"], 2, "E_USAGE"],
  [["@acme", "@acme"], 2, "E_USAGE"],
  [["@acme", "--json", "--qr"], 2, "E_USAGE"],
])("sshnp-keys show %j ends with %d", async (words, code, name) => {
  await using folder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  await writeMemberFile(keys, acme().client);
  const exit = await show(keys, ...words);
  expect(exit).toMatchObject({ code, stdout: "", stderr: expect.stringContaining(`[${name}]`) });
});

test("without a keys folder it says where it looked, and makes none", async () => {
  await using folder = await temporaryFolder();
  const exit = await runCommand("sshnp-keys", ["show", NAME], { env: { HOME: folder.path } });
  expect(exit).toMatchObject({ code: 78, stderr: expect.stringContaining(`${folder.path}/.local/share/sshnp/keys`) });
  expect(await PrivateFolder.open(join(folder.path, ".local"))).toBeUndefined();
});

test("a damaged file, and one that others may read, are refused", async () => {
  await using folder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  const path = await writeMemberFile(keys, acme().client);
  mkdirSync(join(folder.path, "away"), { mode: 0o700 });
  copyFileSync(path, join(folder.path, "away", "copy"));
  writeFileSync(path, readFileSync(path, "utf8").replace('"member": "laptop-client"', '"member": "\u202elaptop"'));
  const damaged = await show(keys, NAME);
  expect(damaged).toMatchObject({ code: 65, stdout: "" });
  expect(damaged.stderr).toMatch(/^[\n -~]+$/);
  copyFileSync(join(folder.path, "away", "copy"), path);
  chmodSync(path, 0o644);
  expect(await show(keys, NAME)).toMatchObject({ code: 77, stderr: expect.stringContaining("[E_KEY_PERMISSIONS]") });
});

test("a full disk under what was asked for is a failure", async () => {
  await using folder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  await writeMemberFile(keys, acme().client);
  const words = [process.execPath, commandFile("sshnp-keys"), NAME, keys.path];
  const exit = await runProcess("sh", ["-c", '"$1" "$2" show "$3" --keys "$4" >/dev/full', "sh", ...words], {
    env: { HOME: folder.path },
  });
  expect(exit).toMatchObject({ code: 74, stderr: expect.stringContaining("[E_STORAGE]") });
});

type Word = string | { readonly env: Readonly<Record<string, string>> };

function show(keys: PrivateFolder, ...words: readonly Word[]): Promise<Exit> {
  const options = words.find((word) => typeof word !== "string");
  const args = words.filter((word) => typeof word === "string");
  const env = { HOME: keys.path, SSHNP_KEYS: keys.path, ...options?.env };
  return runCommand("sshnp-keys", ["show", ...args], { env });
}
