import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { concat, hex, utf8 } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine, sshString } from "../../keys/openssh.ts";
import { readPins } from "../../keys/peer-files.ts";
import { parseMember } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { signSshsig } from "../../keys/sshsig.ts";
import type { PeerClaim } from "../../protocol/peers.ts";
import { signFirstBinding, signFirstNameStatement } from "../../protocol/statements.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { pinDevice } from "../../sshnp/pins.ts";
import { type Bundle, bundle } from "../keys/bundle.ts";
import { cast, NOW } from "../protocol/fixtures.ts";
import { type Exit, runCommand, runProcess } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { claimToJson } from "./claim-json.ts";

const { device, random } = cast(suite);
const claim: PeerClaim = {
  name: device.name,
  member: device.member,
  role: "device",
  statements: { names: [device.nameStatement], member: device.binding, delegation: undefined },
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
  expect(await readPins(keys, device)).toMatchObject({
    owner: { owner: ed25519Line(device.owner.publicKey), origin: "first contact" },
    member: { member: "mygateway", hostKeys: [first.line] },
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
  const files = ["peer.@device.json", "peer.@device.mygateway.json", `known_hosts.${HOST}`].map((name) =>
    join(keys.path, "state", name),
  );
  const before = await Promise.all(files.map((file) => stat(file)));
  await pin(keys, [key.blob]);
  const after = await Promise.all(files.map((file) => stat(file)));
  expect(after.map(({ ino }) => ino)).toEqual(before.map(({ ino }) => ino));

  await rm(join(keys.path, "state", "pins.lock"));
  await pin(keys, [key.blob]);
  expect(await readdir(join(keys.path, "state"))).not.toContain("pins.lock"); // and so no lock is taken
});

test("another owner key than the pinned one writes nothing, unless a person gave or accepted it", async () => {
  await using folder = await temporaryFolder();
  const keys = await keysIn(folder);
  const key = hostKey();
  await pin(keys, [key.blob]);
  const before = await readPins(keys, device);
  const other = otherOwner();
  await expect(pin(keys, [key.blob], other.claim)).rejects.toThrow(expect.objectContaining({ code: "E_OWNER_KEY" }));
  expect(await readPins(keys, device)).toEqual(before);

  expect((await trust(keys, "accept", "@device", other.fingerprint)).code).toBe(0);
  await pin(keys, [key.blob], other.claim);
  expect(await readPins(keys, device)).toMatchObject({
    owner: { owner: other.line, origin: "accepted" },
    member: { owner: other.line, hostKeys: [key.line] },
  });
});

test("what is accepted for a device is no owner key, and no host key of another device", async () => {
  await using folder = await temporaryFolder();
  const keys = await keysIn(folder);
  const [key, changed] = [hostKey(), hostKey()];
  const printer = deviceCalled("printer");
  await pin(keys, [key.blob]);
  await pin(keys, [key.blob], printer);
  const other = otherOwner();
  expect((await trust(keys, "accept", HOST, other.fingerprint)).code).toBe(0);
  await expect(pin(keys, [key.blob], other.claim)).rejects.toMatchObject({ code: "E_OWNER_KEY" });
  expect((await trust(keys, "accept", HOST, changed.fingerprint)).code).toBe(0);
  await expect(pin(keys, [changed.blob], printer)).rejects.toMatchObject({ code: "E_HOST_KEY" });
  expect((await trust(keys, "accept", "@device", changed.fingerprint)).code).toBe(0);
  await expect(pin(keys, [changed.blob], printer)).rejects.toMatchObject({ code: "E_HOST_KEY" });
  await pin(keys, [changed.blob]);
});

test("ssh keeps the host keys that a device leaves out", async () => {
  await using folder = await temporaryFolder();
  const keys = await keysIn(folder);
  const key = hostKey();
  const ecdsa = concat(
    sshString("ecdsa-sha2-nistp256"),
    sshString("nistp256"),
    sshString(Uint8Array.of(4, ...new Uint8Array(64))),
  );
  await pin(keys, [key.blob, ecdsa]);
  const file = join(keys.path, "state", `known_hosts.${HOST}`);
  const before = await readFile(file, "utf8");
  await pin(keys, [ecdsa]);
  expect(await readFile(file, "utf8")).toBe(before);
  await rm(file);
  await pin(keys, [ecdsa]);
  expect(await readFile(file, "utf8")).toBe(before);
});

describe("many sessions at once, each in a process of its own", () => {
  let script: Bundle;
  beforeAll(async () => {
    script = await bundle("../sshnp/pin-script.ts");
  });
  afterAll(() => script.folder.remove());

  const names = Array.from({ length: 8 }, (_, index) => `device${index}`);
  const inProcess = async (keys: PrivateFolder, whom: PeerClaim, blob: Uint8Array): Promise<void> => {
    const proved = { claim: claimToJson(whom), hostKey: hex(blob), now: NOW };
    const exit = await runProcess(process.execPath, [script.file, keys.path, JSON.stringify(proved)], {
      env: { HOME: keys.path },
    });
    expect(exit).toMatchObject({ code: 0, stderr: "" });
  };

  test("eight devices of one name that are met for the first time are all pinned", async () => {
    await using folder = await temporaryFolder();
    const keys = await keysIn(folder);
    const devices = names.map((member) => ({ claim: deviceCalled(member), key: hostKey() }));
    await Promise.all(devices.map(({ claim: whom, key }) => inProcess(keys, whom, key.blob)));
    for (const { claim: whom, key } of devices) {
      expect(await readPins(keys, whom)).toMatchObject({
        owner: { origin: "first contact" },
        member: { hostKeys: [key.line], binding: { text: whom.statements.member.text } },
      });
      const known = join(keys.path, "state", `known_hosts.${whom.member}.device.np`);
      expect(await readFile(known, "utf8")).toBe(`${whom.member}.device.np ${key.line}\n`);
    }
  });

  test("eight sessions to one device leave the newest of its bindings", async () => {
    await using folder = await temporaryFolder();
    const keys = await keysIn(folder);
    const key = hostKey();
    await Promise.allSettled([1, 2, 3, 4, 5, 6, 7, 8].map((seq) => inProcess(keys, boundAs(seq), key.blob)));
    expect(await readPins(keys, device)).toMatchObject({
      member: { hostKeys: [key.line], binding: { text: boundAs(8).statements.member.text } },
    });
  });

  test("what a person accepts or forgets meanwhile is not undone", async () => {
    await using folder = await temporaryFolder();
    const keys = await keysIn(folder);
    const key = hostKey();
    await pin(keys, [key.blob]);
    await pin(keys, [key.blob], deviceCalled("printer"));
    const accepted = names.map(() => hostKey().fingerprint);
    const all = await Promise.all([
      ...accepted.map((text) => trust(keys, "accept", HOST, text)),
      trust(keys, "forget", "printer.device.np"),
      ...[2, 3, 4].map((seq) => inProcess(keys, boundAs(seq), key.blob).catch(() => undefined)),
    ]);
    for (const exit of all) if (exit !== undefined) expect(exit.code).toBe(0);
    const { member } = await readPins(keys, device);
    expect(member?.accepted.toSorted()).toEqual(accepted.toSorted());
    expect(member?.binding.text).toBe(boundAs(4).statements.member.text);
    expect((await readPins(keys, deviceCalled("printer"))).member?.hostKeys).toEqual([]);
  });
});

test("sshnp trust shows, accepts and forgets", async () => {
  await using folder = await temporaryFolder();
  const keys = await keysIn(folder);
  const [old, changed, third] = [hostKey(), hostKey(), hostKey()];
  expect(await trust(keys, "ls")).toMatchObject({ code: 0, stdout: "", stderr: "" });
  await pin(keys, [old.blob]);
  const owner = fingerprint(suite, parsePublicKeyLine(ed25519Line(device.owner.publicKey)).blob);
  const pins = `@device\towner\t${owner}\tfirst contact\t2026-01-01\n${HOST}\tssh-ed25519\t${old.fingerprint}\t\t\n`;
  expect((await trust(keys, "ls")).stdout).toBe(pins);

  expect(await trust(keys, "accept", HOST, changed.fingerprint)).toMatchObject({ code: 0, stdout: "" });
  expect((await trust(keys, "ls")).stdout).toBe(
    `${pins}${HOST}\taccepted\t${changed.fingerprint}\tfor the next connect\t\n`,
  );
  await expect(pin(keys, [third.blob])).rejects.toThrow(expect.objectContaining({ code: "E_HOST_KEY" }));
  await pin(keys, [changed.blob]);
  expect((await trust(keys, "ls")).stdout).toBe(pins.replace(old.fingerprint, changed.fingerprint));
  await expect(pin(keys, [old.blob])).rejects.toThrow(expect.objectContaining({ code: "E_HOST_KEY" }));

  expect((await trust(keys, "forget", HOST)).code).toBe(0);
  expect((await trust(keys, "ls")).stdout).toBe(`@device\towner\t${owner}\tfirst contact\t2026-01-01\n`);
  await expect(stat(join(keys.path, "state", `known_hosts.${HOST}`))).rejects.toThrow("ENOENT");
  await pin(keys, [third.blob]);

  expect((await trust(keys, "forget", "@device")).code).toBe(0);
  expect(await readPins(keys, device)).toEqual({ owner: undefined, member: undefined });
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
  const statements = { names: [nameStatement], member: binding, delegation: undefined };
  return { claim: { ...claim, statements }, line, fingerprint: text };
}

/** Another device of the same owner. */
function deviceCalled(text: string): PeerClaim {
  const { name, x25519, ed25519, owner } = device;
  const member = parseMember(text);
  const binding = signFirstBinding(suite, random, owner, {
    ...{ name, member, role: "device", issued: NOW, expires: null },
    x25519: x25519.publicKey,
    ed25519: ed25519.publicKey,
  });
  return { ...claim, member, statements: { ...claim.statements, member: binding } };
}

/** The device with its binding of this number. */
function boundAs(seq: number): PeerClaim {
  const fields = JSON.parse(device.binding.text) as object;
  const text = JSON.stringify({ ...fields, seq, prev: seq === 1 ? null : "0".repeat(64) });
  const binding = { text, signature: signSshsig(suite, device.owner, "sshnp-binding@v1", utf8(text)) };
  return { ...claim, statements: { ...claim.statements, member: binding } };
}
