import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { readAcknowledged } from "../../keys/activation-files.ts";
import { writeMemberFile, writeOwnerFile } from "../../keys/end-key-files.ts";
import { writeApplicant } from "../../keys/enrolment-files.ts";
import { type MemberName, type Name, parseMember, parseName } from "../../keys/names.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { Secret } from "../../keys/secret.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { enrolmentCode } from "../../protocol/enrolment.ts";
import { announceMember, findMember, noKeysIn, type OwnMember } from "../../sshnpd/member.ts";
import { newApplicant } from "../directory/applicant.ts";
import { type Person, patience, random, suite, World } from "../directory/world.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

const gateway = parseMember("mygateway");

let world: World;
let owner: Person;
beforeAll(async () => {
  world = await World.start();
  owner = await world.activated("@device", "first-client", "client");
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});
afterEach(() => {
  delete process.env["SSHNP_PASSPHRASE_FILE"];
});

test("with the owner key beside it a missing member is made, signed and announced, once", async () => {
  await using machine = await machineWithOwner();
  const own = await machine.find("made-once");
  expect(own).toMatchObject({ isPending: true, keys: { role: "device", member: "made-once", name: "@device" } });
  expect(own.binding.statement).toMatchObject({ seq: 1, expires: null, role: "device" });
  expect(own.made?.ownerPath).toBe(join(machine.keys.path, "@device.owner.npkeys"));
  expect(statSync(own.made?.path ?? "").mode & 0o777).toBe(0o600);
  await machine.announce(own);
  const again = await machine.find("made-once");
  expect(again).toMatchObject({ isPending: false, made: undefined });
  expect(again.keys.x25519.publicKey.equals(own.keys.x25519.publicKey)).toBe(true);
  expect(again.binding.hash).toEqual(own.binding.hash);
});

test("a binding whose acknowledgement was lost is sent again as it was", async () => {
  await using machine = await machineWithOwner();
  const own = await machine.find("sent-twice");
  await announceMember(machine.keys, own, world.client(), { signal: patience() });
  await announceMember(machine.keys, own, world.client(), { signal: patience() });
  expect(await readAcknowledged(machine.keys, own.keys)).toBe(true);

  await using other = await machineWithOwner();
  const unsent = await other.find("not-sent-yet");
  expect(unsent.isPending).toBe(true);
  const later = await other.find("not-sent-yet"); // the daemon was stopped in between
  expect(later).toMatchObject({ isPending: true, made: undefined });
  expect(later.binding.hash).toEqual(unsent.binding.hash);
  await other.announce(later);
  expect((await other.find("not-sent-yet")).isPending).toBe(false);
});

test("a name that has such a member already is refused, and nothing is left of the attempt", async () => {
  await using first = await machineWithOwner();
  await using second = await machineWithOwner();
  await first.announce(await first.find("taken"));
  const before = readdirSync(second.keys.path);
  await expect(second.announce(await second.find("taken"))).rejects.toMatchObject({
    code: "E_MEMBER_TAKEN",
    exitStatus: 78,
  });
  expect(readdirSync(second.keys.path).filter((file) => file !== "state")).toEqual(before);
  await expect(second.announce(await second.find("taken"))).rejects.toMatchObject({ code: "E_MEMBER_TAKEN" });
});

test("a client of that name is neither used nor overwritten", async () => {
  await using machine = await machineWithOwner();
  await machine.writeClient("laptop-client");
  const file = join(machine.keys.path, "@device.laptop-client.npkeys");
  const before = readFileSync(file);
  await expect(machine.find("laptop-client")).rejects.toMatchObject({ code: "E_KEY_EXISTS" });
  expect(readFileSync(file)).toEqual(before);
});

test("without keys and without an owner key nothing is made, and the message says what to do", async () => {
  await using machine = await emptyMachine();
  await expect(machine.find("mygateway")).rejects.toMatchObject({
    code: "E_NO_KEYS",
    exitStatus: 78,
    message: expect.stringContaining(machine.keys.path),
    next: expect.stringMatching(
      /sshnp-keys activate -a @device -c SECRET --directory ADDRESS -d mygateway .*sshnp-keys enroll @device mygateway -d /,
    ),
  });
  await machine.writeClient("laptop-client");
  await expect(machine.find("mygateway")).rejects.toMatchObject({
    code: "E_NO_KEYS",
    next: expect.stringContaining("owner key of @device"),
  });
  expect(readdirSync(machine.keys.path)).toEqual(["@device.laptop-client.npkeys"]);
  expect(noKeysIn("/nowhere", { name: parseName("@device"), member: gateway }).code).toBe("E_NO_KEYS");
});

test("a device whose enrolment waits for its owner is told so, with its code", async () => {
  await using machine = await emptyMachine();
  const { x25519, ed25519 } = newApplicant(owner.name, "waits");
  const keys = { name: owner.name, member: parseMember("waits"), role: "device", x25519, ed25519 } as const;
  await writeApplicant(machine.keys, { ...keys, directory: world.address.text });
  const code = enrolmentCode(suite, { ...keys, x25519: x25519.publicKey, ed25519: ed25519.publicKey });
  await expect(machine.find("waits")).rejects.toMatchObject({
    code: "E_NO_KEYS",
    message: expect.stringContaining(`waits for its owner (code ${code})`),
    next: expect.stringContaining(`sshnp-keys enroll @device waits -d --keys ${machine.keys.path}`),
  });
  await expect(machine.find("another")).rejects.toMatchObject({ next: expect.stringContaining("activate") });
});

test("the directory is the one given, else the one that other keys of the name remember", async () => {
  await using machine = await machineWithOwner();
  await expect(machine.find("no-directory", undefined)).rejects.toMatchObject({ code: "E_USAGE" });
  await machine.writeClient("laptop-client");
  const own = await machine.find("remembers", undefined);
  expect(own.directory.text).toBe(world.address.text);
  // one device of the name is here now
  await expect(machine.find("remember")).rejects.toMatchObject({
    code: "E_NO_KEYS",
    next: expect.stringContaining("sshnpd -a @device -d remember --new-device"),
  });
  const elsewhere = parseDirectoryAddress(world.address.text.replace("127.0.0.1", "localhost"));
  expect((await machine.find("remembers", elsewhere)).directory.text).toBe(elsewhere.text);
});

test("with the wrong directory, or none that answers, nothing is made", async () => {
  await using machine = await machineWithOwner();
  const wrong = parseDirectoryAddress(world.address.text.replace(/#.*/, `#SHA256:${"A".repeat(43)}`));
  await expect(machine.find("nothing", wrong)).rejects.toMatchObject({ code: "E_DIRECTORY_KEY", exitStatus: 76 });
  const away = parseDirectoryAddress(`http://127.0.0.1:1${world.address.text.slice(world.address.text.indexOf("#"))}`);
  await expect(machine.find("nothing", away)).rejects.toMatchObject({ code: "E_DIRECTORY", exitStatus: 69 });
  expect(readdirSync(machine.keys.path)).toEqual(["@device.owner.npkeys"]);
});

test("an owner whose name the directory does not have is told to finish the activation", async () => {
  await using machine = await machineWithOwner();
  await using other = await World.start();
  const own = await machine.find("mygateway", other.address);
  await expect(announceMember(machine.keys, own, other.client(), { signal: patience() })).rejects.toMatchObject({
    code: "E_NOT_ACTIVATED",
    next: expect.stringContaining("sshnp-keys activate -a @device"),
  });
});

test("a passphrase of the owner key comes from the file that the environment names", async () => {
  await using machine = await emptyMachine();
  const protection = { passphrase: Secret.fromText("correct horse"), scryptWorkFactor: 10 };
  await machine.writeOwner(protection);
  await expect(machine.find("locked")).rejects.toMatchObject({ code: "E_PASSPHRASE" });
  const file = join(machine.folder.path, "passphrase");
  process.env["SSHNP_PASSPHRASE_FILE"] = file;
  writeFileSync(file, "wrong\n");
  await expect(machine.find("locked")).rejects.toMatchObject({ code: "E_PASSPHRASE", exitStatus: 77 });
  expect(existsSync(join(machine.keys.path, "@device.locked.npkeys"))).toBe(false);
  writeFileSync(file, "correct horse\n");
  await machine.announce(await machine.find("locked"));
});

interface Machine extends AsyncDisposable {
  readonly folder: TemporaryFolder;
  readonly keys: PrivateFolder;
  find(member: string, directory?: DirectoryAddress): Promise<OwnMember>;
  announce(own: OwnMember): Promise<void>;
  writeOwner(protection?: Parameters<typeof writeOwnerFile>[2]): Promise<void>;
  writeClient(member: string): Promise<void>;
}

async function machineWithOwner(): Promise<Machine> {
  const machine = await emptyMachine();
  await machine.writeOwner();
  return machine;
}

async function emptyMachine(): Promise<Machine> {
  const folder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  const name: Name = owner.name;
  const memberOf = (text: string): MemberName => parseMember(text);
  return {
    folder,
    keys,
    find(...[member, ...directory]: [string, (DirectoryAddress | undefined)?]) {
      const given = directory.length === 0 ? world.address : directory[0];
      const surroundings = { suite, random, folder: keys, signal: patience() };
      return findMember(surroundings, { name, member: memberOf(member), directory: given });
    },
    announce: (own) => announceMember(keys, own, world.client(), { signal: patience() }),
    async writeOwner(protection) {
      await writeOwnerFile(keys, { name, privateKey: owner.owner, statement: owner.statement }, protection);
    },
    async writeClient(member) {
      await writeMemberFile(keys, {
        name,
        member: memberOf(member),
        role: "client",
        x25519: owner.x25519,
        ed25519: owner.ed25519,
        owner: ed25519Line(owner.owner.publicKey),
        directory: world.address.text,
        statements: [owner.statement, owner.binding],
      });
    },
    [Symbol.asyncDispose]: () => folder.remove(),
  };
}
