import { chmod, copyFile, lstat, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { sealWithPassphrase } from "../../keys/age-file.ts";
import { base64, hex, utf8 } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import {
  listKeyFiles,
  type MemberKeys,
  type OwnerKeys,
  readMemberFile,
  readOwnerFile,
  removeMemberFile,
  removeOwnerFile,
  writeMemberFile,
  writeOwnerFile,
} from "../../keys/end-key-files.ts";
import { parseName } from "../../keys/names.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { Secret } from "../../keys/secret.ts";
import { armor } from "../../keys/sshsig.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { age, ageOnTerminal } from "./age.ts";
import { ADDRESS, newMember, newOwner } from "./end-keys.ts";

const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
const owner = newOwner(suite, "@acme");
const laptop = newMember(suite, owner, "laptop-client", "client");
const gateway = newMember(suite, owner, "mygateway", "device");

const PASSPHRASE = "correct horse battery staple";
/** scrypt at its cheapest, where its cost is not the point. */
const CHEAP = { passphrase: Secret.fromText(PASSPHRASE), scryptWorkFactor: 1 };
const asked: string[] = [];
const askPassphrase = (path: string): Promise<Secret> => {
  asked.push(path);
  return Promise.resolve(Secret.fromText(PASSPHRASE));
};

describe("an owner file", { timeout: 30_000 }, () => {
  test("holds what was written, mode 0600, as the text that the protocol says", async () => {
    await using here = await keysFolder();
    const path = await writeOwnerFile(here.folder, owner);
    expect(path).toBe(join(here.path, "@acme.owner.npkeys"));
    expect((await lstat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, "utf8")).toBe(`{
  "v": 1,
  "kind": "owner",
  "name": "@acme",
  "ed25519": "${base64(owner.privateKey.secretBytes())}",
  "statement": {
    "text": ${JSON.stringify(owner.statement.text)},
    "signature": ${JSON.stringify(armor(owner.statement.signature))}
  }
}
`);
    expectSameOwner(await readOwnerFile(suite, here.folder, owner.name), owner);
  });

  test("is undefined when it is not there", async () => {
    await using here = await keysFolder();
    await writeOwnerFile(here.folder, owner);
    expect(await readOwnerFile(suite, here.folder, parseName("@other"))).toBeUndefined();
  });

  test("is never overwritten", async () => {
    await using here = await keysFolder();
    await writeOwnerFile(here.folder, owner);
    const other = newOwner(suite, "@acme");
    await expect(writeOwnerFile(here.folder, other)).rejects.toMatchObject({ code: "E_KEY_EXISTS" });
    await expect(writeOwnerFile(here.folder, other, CHEAP)).rejects.toMatchObject({ code: "E_KEY_EXISTS" });
    expectSameOwner(await readOwnerFile(suite, here.folder, owner.name), owner);
  });

  test("with another owner's statement in it is refused", async () => {
    await using here = await keysFolder();
    await writeOwnerFile(here.folder, { ...owner, statement: newOwner(suite, "@acme").statement });
    await expect(readOwnerFile(suite, here.folder, owner.name)).rejects.toMatchObject({ code: "E_BAD_KEY_FILE" });
  });

  test("with any byte damaged is refused, and no error tells what was in it", async () => {
    await using here = await keysFolder();
    const path = await writeOwnerFile(here.folder, owner);
    const whole = await readFile(path);
    const read = () => readOwnerFile(suite, here.folder, owner.name);
    for (const flip of [0x01, 0x80]) {
      await expectAllBad(
        path,
        Array.from(whole, (_, at) => flipped(whole, at, flip)),
        read,
        owner,
      );
    }
  });

  test("cut off anywhere, or with anything behind it, is refused", async () => {
    await using here = await keysFolder();
    const path = await writeOwnerFile(here.folder, owner);
    const whole = await readFile(path);
    const cut = every(3, whole).map((length) => whole.subarray(0, length));
    const longer = ["\n", " ", "{}", "\0"].map((more) => Buffer.concat([whole, utf8(more)]));
    await expectAllBad(path, [...cut, ...longer], () => readOwnerFile(suite, here.folder, owner.name), owner);
    await writeFile(path, Buffer.concat([whole, Buffer.alloc(70_000)]));
    await expectBadFile(readOwnerFile(suite, here.folder, owner.name), path, owner);
  });
});

describe("a member file", { timeout: 30_000 }, () => {
  test.each([
    ["client", laptop],
    ["device", gateway],
  ])("of a %s holds what was written, mode 0600, as the text that the protocol says", async (role, keys) => {
    await using here = await keysFolder();
    const path = await writeMemberFile(here.folder, keys);
    expect(path).toBe(join(here.path, `@acme.${keys.member}.npkeys`));
    expect((await lstat(path)).mode & 0o777).toBe(0o600);
    const statements = keys.statements.map(
      ({ text, signature }) => `    {
      "text": ${JSON.stringify(text)},
      "signature": ${JSON.stringify(armor(signature))}
    }`,
    );
    expect(await readFile(path, "utf8")).toBe(`{
  "v": 1,
  "kind": "member",
  "name": "@acme",
  "member": "${keys.member}",
  "role": "${role}",
  "x25519": "${base64(keys.x25519.secretBytes())}",
  "ed25519": "${base64(keys.ed25519.secretBytes())}",
  "owner": "${ed25519Line(owner.privateKey.publicKey)}",
  "directory": "${ADDRESS}",
  "statements": [
${statements.join(",\n")}
  ]
}
`);
    expectSameMember(await readMemberFile(suite, here.folder, keys), keys);
  });

  test("is undefined when it is not there", async () => {
    await using here = await keysFolder();
    await writeMemberFile(here.folder, laptop);
    expect(await readMemberFile(suite, here.folder, gateway)).toBeUndefined();
    expect(await readMemberFile(suite, here.folder, { ...laptop, name: parseName("@other") })).toBeUndefined();
  });

  test("is never overwritten, by a member of another role neither", async () => {
    await using here = await keysFolder();
    await writeMemberFile(here.folder, gateway);
    for (const role of ["client", "device"] as const) {
      const other = newMember(suite, owner, gateway.member, role);
      await expect(writeMemberFile(here.folder, other)).rejects.toMatchObject({ code: "E_KEY_EXISTS" });
    }
    expectSameMember(await readMemberFile(suite, here.folder, gateway), gateway);
  });

  test.each<[string, MemberKeys]>([
    [
      "another X25519 key than its binding",
      { ...laptop, x25519: X25519PrivateKey.parse(suite, new Uint8Array(32).fill(1)) },
    ],
    [
      "another Ed25519 key than its binding",
      { ...laptop, ed25519: Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(1)) },
    ],
    ["another owner than the one who signed", { ...laptop, owner: ed25519Line(laptop.ed25519.publicKey) }],
    ["no binding", { ...laptop, statements: [owner.statement] }],
    ["the binding of another member", { ...laptop, statements: gateway.statements }],
    [
      "one statement by somebody else",
      { ...laptop, statements: [newOwner(suite, "@acme").statement, ...laptop.statements] },
    ],
  ])("with %s is refused", async (_, keys) => {
    await using here = await keysFolder();
    const path = await writeMemberFile(here.folder, keys);
    await expectBadFile(readMemberFile(suite, here.folder, laptop), path, owner);
  });

  test("under another name than its own is refused", async () => {
    for (const name of ["@acme.other.npkeys", "@other.laptop-client.npkeys"]) {
      await using here = await keysFolder();
      await rename(await writeMemberFile(here.folder, laptop), join(here.path, name));
      const [of = "", member = ""] = name.split(".");
      const found = newMember(suite, newOwner(suite, of), member, "client");
      await expectBadFile(readMemberFile(suite, here.folder, found), join(here.path, name), laptop);
    }
  });

  test("with any byte damaged is refused, but in the directory's address, which is checked elsewhere", async () => {
    await using here = await keysFolder();
    const path = await writeMemberFile(here.folder, laptop);
    const whole = await readFile(path);
    const address = whole.indexOf(ADDRESS);
    const places = every(3, whole).filter((at) => at < address || at >= address + ADDRESS.length);
    const damaged = places.map((at) => flipped(whole, at, 1 << (at % 8)));
    await expectAllBad(path, damaged, () => readMemberFile(suite, here.folder, laptop), laptop);
  });

  test.each<[string, (text: string) => string]>([
    ["a field nobody knows", (text) => text.replace('"role"', '"note": "",\n  "role"')],
    ["a field twice", (text) => text.replace('  "role"', '  "role": "client",\n  "role"')],
    ["a field that every object has", (text) => text.replace('  "role"', '  "__proto__": null,\n  "role"')],
    ["a field missing", (text) => text.replace('  "role": "client",\n', "")],
    ["two fields in another order", (text) => swapLines(text, '  "name"', '  "member"')],
    [
      "a statement's fields in another order",
      (text) => text.replace(/( {6}"text": .*),\n( {6}"signature": .*)/, "$2,\n$1"),
    ],
    ["another version", (text) => text.replace('"v": 1', '"v": 2')],
    ["its version as text", (text) => text.replace('"v": 1', '"v": "1"')],
    ["its version written in another way", (text) => text.replace('"v": 1', '"v": 1.0')],
    ["another kind", (text) => text.replace('"member",', '"owner",')],
    ["an unknown role", (text) => text.replace('"client"', '"owner"')],
    ["another indent", (text) => JSON.stringify(JSON.parse(text), null, 4)],
    ["no indent", (text) => JSON.stringify(JSON.parse(text))],
    ["no final newline", (text) => text.trimEnd()],
    ["line ends of DOS", (text) => text.replaceAll("\n", "\r\n")],
    ["a byte order mark", (text) => `\ufeff${text}`],
    ["an escape where none is needed", (text) => text.replace("@acme", "\\u0040acme")],
    ["a comment", (text) => text.replace("{\n", "{\n  // mine\n")],
    ["a key of 31 bytes", (text) => text.replace(/"x25519": ".*"/, `"x25519": "${base64(new Uint8Array(31))}"`)],
    ["a key of 33 bytes", (text) => text.replace(/"x25519": ".*"/, `"x25519": "${base64(new Uint8Array(33))}"`)],
    ["a key in hex", (text) => text.replace(/"x25519": ".*"/, `"x25519": "${"00".repeat(32)}"`)],
    ["a key that is a number", (text) => text.replace(/"x25519": ".*"/, '"x25519": 1')],
    ["an owner with a comment", (text) => text.replace(/("owner": "[^"]*)"/, '$1 me"')],
    ["an owner of an unknown type", (text) => text.replace('"owner": "ssh-ed25519', '"owner": "ssh-dss')],
    ["a directory without fingerprint", (text) => text.replace(/#SHA256:[^"]*/, "")],
    ["a directory of another scheme", (text) => text.replace("https://", "file://")],
    ["no statements", (text) => text.replace(/"statements": \[[^]*\]/, '"statements": []')],
    [
      "a statement that is no object",
      (text) => text.replace(/"statements": \[[^]*\]/, '"statements": [\n    null\n  ]'),
    ],
    ["nothing", () => ""],
    ["null", () => "null\n"],
    ["a list", () => "[]\n"],
    ["deep nesting", () => `${"[".repeat(30_000)}${"]".repeat(30_000)}\n`],
  ])("with %s is refused", async (_, change) => {
    await using here = await keysFolder();
    const path = await writeMemberFile(here.folder, laptop);
    const text = await readFile(path, "utf8");
    const changed = change(text);
    expect(changed).not.toBe(text);
    await writeFile(path, changed);
    await expectBadFile(readMemberFile(suite, here.folder, laptop), path, laptop);
    await expectBadFile(listKeyFiles(here.folder), path, laptop);
  });

  test("that others may read is refused", async () => {
    await using here = await keysFolder();
    await chmod(await writeMemberFile(here.folder, laptop), 0o640);
    await chmod(await writeOwnerFile(here.folder, owner), 0o644);
    const refusal = { code: "E_KEY_PERMISSIONS" };
    await expect(readMemberFile(suite, here.folder, laptop)).rejects.toMatchObject(refusal);
    await expect(readOwnerFile(suite, here.folder, owner.name)).rejects.toMatchObject(refusal);
    await expect(listKeyFiles(here.folder)).rejects.toMatchObject(refusal);
  });
});

test("key files of an activation that came to nothing can be removed, and new ones made", async () => {
  await using here = await keysFolder();
  await removeOwnerFile(here.folder, owner.name);
  for (let time = 0; time < 2; time++) {
    await writeOwnerFile(here.folder, owner);
    await writeMemberFile(here.folder, laptop);
    await writeMemberFile(here.folder, gateway);
    await removeOwnerFile(here.folder, owner.name);
    await removeMemberFile(here.folder, laptop);
    expect(await readdir(here.path)).toEqual(["@acme.mygateway.npkeys"]);
    await removeMemberFile(here.folder, gateway);
  }
});

describe("the list of key files", () => {
  test("names owners, members and roles, of one name if asked, and passes over what is no key file", async () => {
    await using here = await keysFolder();
    const other = newMember(suite, newOwner(suite, "@other"), "phone", "client");
    await writeOwnerFile(here.folder, owner);
    for (const keys of [laptop, gateway, other]) await writeMemberFile(here.folder, keys);
    for (const file of [
      "readme",
      "@acme.owner.npkeys.old",
      "acme.laptop.npkeys",
      "@ACME.laptop.npkeys",
      "@acme.-x.npkeys",
      "@acme.npkeys",
    ]) {
      await writeFile(join(here.path, file), "not a key file");
    }
    const ofAcme = [
      {
        kind: "member",
        name: "@acme",
        member: "laptop-client",
        role: "client",
        path: join(here.path, "@acme.laptop-client.npkeys"),
      },
      {
        kind: "member",
        name: "@acme",
        member: "mygateway",
        role: "device",
        path: join(here.path, "@acme.mygateway.npkeys"),
      },
      { kind: "owner", name: "@acme", path: join(here.path, "@acme.owner.npkeys") },
    ];
    expect(await listKeyFiles(here.folder, parseName("@acme"))).toEqual(ofAcme);
    expect(await listKeyFiles(here.folder)).toMatchObject([
      ...ofAcme,
      { name: "@other", member: "phone", role: "client" },
    ]);
  });

  test("does not mind a damaged file of a name that was not asked for", async () => {
    await using here = await keysFolder();
    await writeMemberFile(here.folder, laptop);
    await writeFile(join(here.path, "@other.phone.npkeys"), "", { mode: 0o600 });
    expect(await listKeyFiles(here.folder, laptop.name)).toHaveLength(1);
    await expect(listKeyFiles(here.folder)).rejects.toMatchObject({ code: "E_BAD_KEY_FILE" });
  });

  test("does not know the role of a member whose file a passphrase guards, and asks for none", async () => {
    await using here = await keysFolder();
    await writeMemberFile(here.folder, laptop, CHEAP);
    await writeOwnerFile(here.folder, owner, CHEAP);
    const roles = (await listKeyFiles(here.folder)).map((entry) => (entry.kind === "member" ? entry.role : entry.kind));
    expect(roles).toEqual([undefined, "owner"]);
  });
});

describe("a passphrase", { timeout: 30_000 }, () => {
  test("is asked for, with the path, and opens what it guards; nothing of it stands in the file", async () => {
    await using here = await keysFolder();
    const paths = [await writeOwnerFile(here.folder, owner, CHEAP), await writeMemberFile(here.folder, laptop, CHEAP)];
    asked.length = 0;
    expectSameOwner(await readOwnerFile(suite, here.folder, owner.name, askPassphrase), owner);
    expectSameMember(await readMemberFile(suite, here.folder, laptop, askPassphrase), laptop);
    expect(asked).toEqual(paths);
    for (const path of paths) {
      expect((await lstat(path)).mode & 0o777).toBe(0o600);
      const bytes = await readFile(path);
      for (const secret of [PASSPHRASE, "@acme", "ed25519", base64(owner.privateKey.secretBytes())]) {
        expect(bytes.includes(secret)).toBe(false);
      }
    }
  });

  test("is not asked for when the file has none", async () => {
    await using here = await keysFolder();
    await writeOwnerFile(here.folder, owner);
    asked.length = 0;
    expectSameOwner(await readOwnerFile(suite, here.folder, owner.name, askPassphrase), owner);
    expect(asked).toEqual([]);
  });

  test.each(["wrong", "", `${PASSPHRASE} `, PASSPHRASE.toUpperCase()])(
    "that is wrong, %j, opens nothing",
    async (wrong) => {
      await using here = await keysFolder();
      const path = await writeOwnerFile(here.folder, owner, CHEAP);
      const reading = readOwnerFile(suite, here.folder, owner.name, () => Promise.resolve(Secret.fromText(wrong)));
      await expect(reading).rejects.toMatchObject({ name: "SetupError", code: "E_PASSPHRASE", exitStatus: 77 });
      await expect(reading).rejects.toThrow(path);
    },
  );

  test("that nobody can be asked for is missed by name", async () => {
    await using here = await keysFolder();
    await writeOwnerFile(here.folder, owner, CHEAP);
    await expect(readOwnerFile(suite, here.folder, owner.name)).rejects.toMatchObject({ code: "E_PASSPHRASE" });
  });

  test("must not be empty", async () => {
    await using here = await keysFolder();
    const empty = { passphrase: Secret.fromText("") };
    await expect(writeOwnerFile(here.folder, owner, empty)).rejects.toMatchObject({ code: "E_PASSPHRASE" });
    expect(await readdir(here.path)).toEqual([]);
  });

  test("does not open a file with any byte damaged, or cut off, or longer", async () => {
    await using here = await keysFolder();
    const path = await writeOwnerFile(here.folder, owner, CHEAP);
    const whole = await readFile(path);
    const changed = every(3, whole).map((at) => flipped(whole, at, 0x01));
    const cut = every(7, whole).map((length) => whole.subarray(0, length));
    for (const bytes of [...changed, ...cut, Buffer.concat([whole, Buffer.from("x")])]) {
      await writeFile(path, bytes);
      const error = await errorOf(readOwnerFile(suite, here.folder, owner.name, askPassphrase));
      expect(["E_BAD_KEY_FILE", "E_PASSPHRASE"]).toContain(error.code);
    }
  });

  test("is not tried where the file asks for gigabytes of scrypt", async () => {
    await using here = await keysFolder();
    const path = await writeOwnerFile(here.folder, owner, CHEAP);
    const whole = await readFile(path, "latin1");
    await writeFile(path, whole.replace(/^(-> scrypt \S+) 1$/m, "$1 30"), "latin1");
    await expectBadFile(readOwnerFile(suite, here.folder, owner.name, askPassphrase), path, owner);
  });

  test("around a file that is not canonical makes it no better", async () => {
    await using here = await keysFolder();
    const path = await writeOwnerFile(here.folder, owner);
    const longer = Buffer.concat([await readFile(path), utf8("\n")]);
    await writeFile(path, await sealWithPassphrase(longer, CHEAP.passphrase, CHEAP.scryptWorkFactor));
    await expectBadFile(readOwnerFile(suite, here.folder, owner.name, askPassphrase), path, owner);
  });
});

describe("the real age", { timeout: 30_000 }, () => {
  test("opens a key file that we guarded at our usual cost, and no other passphrase does", async () => {
    await using here = await keysFolder();
    const path = await writeOwnerFile(here.folder, owner, { passphrase: Secret.fromText(PASSPHRASE) });
    expect(await readFile(path, "latin1")).toMatch(/^age-encryption\.org\/v1\n-> scrypt [A-Za-z0-9+/]{22} 18\n/);
    expect(await ageOnTerminal(here.path, ["-d", "-o", "wrong", path], "wrong\n")).not.toBe(0);
    expect(await ageOnTerminal(here.path, ["-d", "-o", "open", path], `${PASSPHRASE}\n`)).toBe(0);
    await using other = await keysFolder();
    await copyFile(join(here.path, "open"), join(other.path, "@acme.owner.npkeys"));
    await chmod(join(other.path, "@acme.owner.npkeys"), 0o600);
    expectSameOwner(await readOwnerFile(suite, other.folder, owner.name), owner);
    expect(await readdir(here.path)).toEqual(["@acme.owner.npkeys", "open"]);
  });

  test("guards a key file that we open", async () => {
    await using here = await keysFolder();
    const path = await writeMemberFile(here.folder, laptop);
    expect(await ageOnTerminal(here.path, ["-p", "-o", "locked", path], `${PASSPHRASE}\n${PASSPHRASE}\n`)).toBe(0);
    await rename(join(here.path, "locked"), path);
    await chmod(path, 0o600);
    expectSameMember(await readMemberFile(suite, here.folder, laptop, askPassphrase), laptop);
  });

  test("makes other files too, without passphrase or armored, that are no key files", async () => {
    await using here = await keysFolder();
    const path = await writeOwnerFile(here.folder, owner);
    const recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    for (const options of [
      ["-r", recipient],
      ["-a", "-r", recipient],
    ]) {
      expect((await age(here.path, [...options, "-o", "locked", path])).code).toBe(0);
      const locked = join(here.path, "locked");
      await using other = await keysFolder();
      const copy = join(other.path, "@acme.owner.npkeys");
      await rename(locked, copy);
      await chmod(copy, 0o600);
      await expectBadFile(readOwnerFile(suite, other.folder, owner.name, askPassphrase), copy, owner);
    }
  });
});

async function keysFolder(): Promise<{ path: string; folder: PrivateFolder } & AsyncDisposable> {
  const here = await temporaryFolder();
  const folder = await PrivateFolder.openOrCreate(here.path);
  return { path: here.path, folder, [Symbol.asyncDispose]: () => here.remove() };
}

function expectSameOwner(read: OwnerKeys | undefined, written: OwnerKeys): void {
  expect(read?.privateKey.secretBytes()).toEqual(written.privateKey.secretBytes());
  expect(read).toEqual(written);
}

function expectSameMember(read: MemberKeys | undefined, written: MemberKeys): void {
  expect(read?.x25519.secretBytes()).toEqual(written.x25519.secretBytes());
  expect(read?.ed25519.secretBytes()).toEqual(written.ed25519.secretBytes());
  expect(read).toEqual(written);
}

interface Refusal {
  code?: unknown;
  message?: string;
  next?: string;
  cause?: unknown;
}

async function errorOf(action: Promise<unknown>): Promise<Refusal> {
  return await action.then(
    () => ({}),
    (error: unknown) => error as Refusal,
  );
}

/** E_BAD_KEY_FILE that names the file and what to do, and holds none of the keys. */
async function expectBadFile(action: Promise<unknown>, path: string, keys: OwnerKeys | MemberKeys): Promise<void> {
  const error = await errorOf(action);
  expect(error).toMatchObject({ name: "SetupError", code: "E_BAD_KEY_FILE", exitStatus: 65 });
  expect(error).toMatchObject({ message: expect.stringContaining(path), next: expect.stringMatching(/backup/) });
  const shown = inspect(error, { showHidden: true, depth: 20 });
  const secrets = "privateKey" in keys ? [keys.privateKey] : [keys.x25519, keys.ed25519];
  for (const secret of secrets.map((key) => key.secretBytes())) {
    for (const form of [base64(secret), hex(secret)]) {
      for (const part of [form.slice(0, 12), form.slice(12, 24), form.slice(-14)]) expect(shown).not.toContain(part);
    }
  }
}

/** As {@link expectBadFile}, for each of these contents; all are refused in the same words. */
async function expectAllBad(
  path: string,
  contents: readonly Uint8Array[],
  read: () => Promise<unknown>,
  keys: OwnerKeys | MemberKeys,
): Promise<void> {
  expect(contents.length).toBeGreaterThan(200);
  const refusals = new Set<string>();
  for (const bytes of contents) {
    await writeFile(path, bytes);
    const error = await errorOf(read());
    refusals.add(JSON.stringify([error.code, error.message, error.next, String(error.cause)]));
  }
  expect(refusals.size).toBe(1);
  await expectBadFile(read(), path, keys);
}

/** Every so many places in a file. */
function every(step: number, whole: Uint8Array): number[] {
  return [...whole.keys()].filter((at) => at % step === 0);
}

function flipped(whole: Uint8Array, at: number, bits: number): Uint8Array {
  const copy = new Uint8Array(whole);
  copy[at] = (copy[at] ?? 0) ^ bits;
  return copy;
}

/** The text with the lines that begin so in each other's place. */
function swapLines(text: string, one: string, other: string): string {
  const lines = text.split("\n");
  const [i, j] = [lines.findIndex((line) => line.startsWith(one)), lines.findIndex((line) => line.startsWith(other))];
  return lines.map((line, at) => (at === i ? lines[j] : at === j ? lines[i] : line)).join("\n");
}
