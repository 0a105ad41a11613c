import { stat } from "node:fs/promises";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { concat } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine, sshString } from "../../keys/openssh.ts";
import { readPeer } from "../../keys/peer-files.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import type { PeerClaim } from "../../protocol/peers.ts";
import { signFirstBinding, signFirstNameStatement } from "../../protocol/statements.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { pinDevice } from "../../sshnp/pins.ts";
import { cast, NOW } from "../protocol/fixtures.ts";
import { type Exit, runCommand, runProcess } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

const { device, random } = cast(suite);
const claim: PeerClaim = {
  name: device.name,
  member: device.member,
  role: "device",
  nameStatement: device.nameStatement,
  binding: device.binding,
};
const HOST = "mygateway.device.np";

function hostKey(): { readonly blob: Uint8Array; readonly line: string; readonly fingerprint: string } {
  const { publicKey } = Ed25519PrivateKey.generate(suite, random);
  const blob = concat(sshString("ssh-ed25519"), sshString(publicKey.bytes));
  return { blob, line: ed25519Line(publicKey), fingerprint: fingerprint(suite, blob) };
}

test("a device is pinned, and ssh finds its host keys", async () => {
  await using folder = await temporaryFolder();
  const keys = await keysIn(folder);
  const [first, second] = [hostKey(), hostKey()];
  await pin(keys, [first.blob]);
  const file = join(keys.path, "state", `known_hosts.${HOST}`);
  expect(await readFile(file, "utf8")).toBe(`${HOST} ${first.line}\n`);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readPeer(keys, device.name)).toMatchObject({
    owner: ed25519Line(device.owner.publicKey),
    origin: "first contact",
    members: [{ member: "mygateway", hostKeys: [first.line] }],
  });
  const found = await runProcess("ssh-keygen", ["-F", HOST, "-f", file], { env: { HOME: folder.path } });
  expect(found.stdout).toContain(first.line);

  await expect(pin(keys, [second.blob])).rejects.toThrow(
    expect.objectContaining({ code: "E_HOST_KEY", message: expect.stringContaining(first.fingerprint) }),
  );
  expect(await readFile(file, "utf8")).toBe(`${HOST} ${first.line}\n`);
});

test("nothing is written again when nothing has changed", async () => {
  await using folder = await temporaryFolder();
  const keys = await keysIn(folder);
  const key = hostKey();
  await pin(keys, [key.blob]);
  const files = ["peer.@device.json", `known_hosts.${HOST}`].map((name) => join(keys.path, "state", name));
  const before = await Promise.all(files.map((file) => stat(file)));
  await pin(keys, [key.blob]);
  const after = await Promise.all(files.map((file) => stat(file)));
  expect(after.map(({ ino }) => ino)).toEqual(before.map(({ ino }) => ino));
});

test("another owner key than the pinned one writes nothing, unless a person gave or accepted it", async () => {
  await using folder = await temporaryFolder();
  const keys = await keysIn(folder);
  const key = hostKey();
  await pin(keys, [key.blob]);
  const before = await readPeer(keys, device.name);
  const other = otherOwner();
  await expect(pin(keys, [key.blob], other.claim)).rejects.toThrow(expect.objectContaining({ code: "E_OWNER_KEY" }));
  expect(await readPeer(keys, device.name)).toEqual(before);

  expect((await trust(keys, "accept", "@device", other.fingerprint)).code).toBe(0);
  await pin(keys, [key.blob], other.claim);
  expect(await readPeer(keys, device.name)).toMatchObject({ owner: other.line, origin: "accepted" });
});

test("sshnp trust shows, accepts and forgets", async () => {
  await using folder = await temporaryFolder();
  const keys = await keysIn(folder);
  const [old, changed, third] = [hostKey(), hostKey(), hostKey()];
  expect(await trust(keys, "ls")).toMatchObject({ code: 0, stdout: "", stderr: "" });
  await pin(keys, [old.blob]);
  const owner = fingerprint(suite, parsePublicKeyLine(ed25519Line(device.owner.publicKey)).blob);
  const pins = `@device\towner\t${owner}\t2026-01-01, first contact\n${HOST}\tssh-ed25519\t${old.fingerprint}\t\n`;
  expect((await trust(keys, "ls")).stdout).toBe(pins);

  expect(await trust(keys, "accept", HOST, changed.fingerprint)).toMatchObject({ code: 0, stdout: "" });
  expect((await trust(keys, "ls")).stdout).toBe(
    `${pins}@device\taccepted\t${changed.fingerprint}\tfor the next connect\n`,
  );
  await expect(pin(keys, [third.blob])).rejects.toThrow(expect.objectContaining({ code: "E_HOST_KEY" }));
  await pin(keys, [changed.blob]);
  expect((await trust(keys, "ls")).stdout).toBe(pins.replace(old.fingerprint, changed.fingerprint));
  await expect(pin(keys, [old.blob])).rejects.toThrow(expect.objectContaining({ code: "E_HOST_KEY" }));

  expect((await trust(keys, "forget", HOST)).code).toBe(0);
  expect((await trust(keys, "ls")).stdout).toBe(`@device\towner\t${owner}\t2026-01-01, first contact\n`);
  await expect(stat(join(keys.path, "state", `known_hosts.${HOST}`))).rejects.toThrow("ENOENT");
  await pin(keys, [third.blob]);

  expect((await trust(keys, "forget", "@device")).code).toBe(0);
  expect(await readPeer(keys, device.name)).toBeUndefined();
  await expect(stat(join(keys.path, "state", `known_hosts.${HOST}`))).rejects.toThrow("ENOENT");
});

test.each([
  [["accept", "@nobody", `SHA256:${"A".repeat(43)}`], 68, "E_UNKNOWN_NAME"],
  [["forget", "gw.device.np"], 68, "E_UNKNOWN_NAME"],
  [["accept", "@device", "SHA256:short"], 2, "E_USAGE"],
  [["accept", "../x", `SHA256:${"A".repeat(43)}`], 2, "E_USAGE"],
  [["forget", "example.org"], 2, "E_USAGE"],
])("sshnp trust %j ends with %d", async (words, code, name) => {
  await using folder = await temporaryFolder();
  const keys = await keysIn(folder);
  await pin(keys, [hostKey().blob]);
  expect(await trust(keys, ...words)).toMatchObject({ code, stdout: "", stderr: expect.stringContaining(`[${name}]`) });
});

test.each([[[]], [["frob"]], [["ls", "--frob"]], [["accept", "@device"]], [["forget"]], [["ls", "more"]]])(
  "sshnp trust is not called with %j",
  async (words) => {
    await using folder = await temporaryFolder();
    expect(await trust(await keysIn(folder), ...words)).toMatchObject({ code: 2, stdout: "" });
  },
);

test("sshnp trust without a keys folder says where it looked", async () => {
  await using folder = await temporaryFolder();
  const exit = await runCommand("sshnp", ["trust", "ls"], { env: { HOME: folder.path } });
  expect(exit).toMatchObject({ code: 78, stderr: expect.stringContaining(`${folder.path}/.local/share/sshnp/keys`) });
});

function keysIn(folder: TemporaryFolder): Promise<PrivateFolder> {
  return PrivateFolder.openOrCreate(join(folder.path, "keys"));
}

function pin(keys: PrivateFolder, hostKeys: readonly Uint8Array[], whom = claim): Promise<void> {
  return pinDevice(suite, keys, { claim: whom, given: undefined, hostKeys }, NOW);
}

function trust(keys: PrivateFolder, ...words: string[]): Promise<Exit> {
  return runCommand("sshnp", ["trust", ...words], { env: { HOME: keys.path, SSHNP_KEYS: keys.path } });
}

/** The same device, said to belong to somebody else, everything signed as it should be. */
function otherOwner(): { readonly claim: PeerClaim; readonly line: string; readonly fingerprint: string } {
  const owner = Ed25519PrivateKey.generate(suite, random);
  const line = ed25519Line(owner.publicKey);
  const { name, member, x25519, ed25519 } = device;
  const nameStatement = signFirstNameStatement(suite, random, owner, { name, owner: line, issued: NOW });
  const binding = signFirstBinding(suite, random, owner, {
    ...{ name, member, role: "device", issued: NOW, expires: null },
    x25519: x25519.publicKey,
    ed25519: ed25519.publicKey,
  });
  const text = fingerprint(suite, parsePublicKeyLine(line).blob);
  return { claim: { ...claim, nameStatement, binding }, line, fingerprint: text };
}
