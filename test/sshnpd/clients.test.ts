import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { ed25519Line, type Fingerprint, fingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import { listPins, readPins, removePin } from "../../keys/peer-files.ts";
import { LINK_NAMES } from "../../protocol/limits.ts";
import type { PeerClaim } from "../../protocol/peers.ts";
import { signFirstBinding, signFirstNameStatement } from "../../protocol/statements.ts";
import { parseClients } from "../../sshnpd/clients.ts";
import { NOW } from "../protocol/fixtures.ts";
import { rebinding, rotation } from "../support/later-statements.ts";
import { clientBinding, clientOwner, clientStatements, people, random, type Stage, setStage, suite } from "./stage.ts";

const { client } = people;
const OTHER = Ed25519PrivateKey.generate(suite, random);
const OTHER_OWNER = fingerprint(suite, parsePublicKeyLine(ed25519Line(OTHER.publicKey)).blob);
const OWNER = { name: client.name, member: undefined };
const NOTHING = { current: () => Promise.resolve([]) };

test.each([
  [["@client"], [["@client", undefined]]],
  [
    ["@a,@b", "@c"],
    [
      ["@a", undefined],
      ["@b", undefined],
      ["@c", undefined],
    ],
  ],
  [[`@client=${clientOwner}`], [["@client", clientOwner]]],
  [
    [`@client=${clientOwner},@other`],
    [
      ["@client", clientOwner],
      ["@other", undefined],
    ],
  ],
  [["@client", `@client=${clientOwner}`, "@client"], [["@client", clientOwner]]],
] as const)("-m %j lists %j", (values, listed) => {
  expect([...parseClients(values)]).toEqual(listed);
});

test.each([
  "",
  "client",
  "@",
  "@Client",
  "@client,",
  ",@client",
  "@a, @b",
  "@a;@b",
  "@client=",
  "@client=SHA256:",
  `@client=${OTHER_OWNER.slice(0, -1)}`,
  `@client=md5:${OTHER_OWNER}`,
  `@client = ${OTHER_OWNER}`,
  "@\u0441lient",
  "-oProxyCommand=x",
  "@../x",
  "@$(x)",
])("-m %j is refused as a usage error", (value) => {
  expect(() => parseClients([value])).toThrow(expect.objectContaining({ code: "E_USAGE", exitStatus: 2 }));
});

test("two owner keys for one name, and more names than a link can carry, are usage errors", () => {
  const usage = expect.objectContaining({ code: "E_USAGE" });
  expect(() => parseClients([`@client=${clientOwner}`, `@client=${OTHER_OWNER}`])).toThrow(usage);
  const names = Array.from({ length: LINK_NAMES + 1 }, (_, i) => `@n${i}`);
  expect(parseClients(names.slice(1)).size).toBe(LINK_NAMES);
  expect(() => parseClients(names)).toThrow(usage);
});

test("a bare name is resolved by the directory's word once, told and stored, and asked for no more", async () => {
  await using stage = await bare();
  expect(await stage.clients.unresolved()).toEqual(["@client"]);
  expect(await stage.clients.standingOf(client.name)).toBe("unresolved");
  expect(await stage.clients.describe()).toEqual([
    "@client is not pinned yet: asking the directory for its owner key. Until then it is refused.",
  ]);
  await stage.clients.learn([client.nameStatement], NOW);
  expect(await stage.clients.unresolved()).toEqual([]);
  expect(await stage.clients.standingOf(client.name)).toBe("known");
  const line = `@client is pinned to ${clientOwner} (first contact: not compared with anybody; give -m @client=SHA256:... to compare)`;
  expect(stage.told).toEqual([line]);
  expect(await stage.clients.describe()).toEqual([line]);
  expect(await listPins(stage.keys)).toEqual([OWNER]);
  expect((await readPins(stage.keys, OWNER)).owner?.origin).toBe("first contact");
});

test("a second word of the directory changes no pin", async () => {
  await using stage = await bare();
  await stage.clients.learn([client.nameStatement], NOW);
  await stage.clients.learn([client.nameStatement], NOW);
  await expect(stage.clients.learn([statementBy(OTHER)], NOW)).rejects.toMatchObject({ code: "E_OWNER_KEY" });
  expect(stage.told).toHaveLength(1);
  expect((await readPins(stage.keys, OWNER)).owner?.owner).toBe(ed25519Line(client.owner.publicKey));
});

test("the directory's word counts for nothing that was not asked for", async () => {
  await using stage = await bare();
  await stage.clients.learn([people.device.nameStatement], NOW);
  expect([stage.told, await stage.clients.standingOf(people.device.name)]).toEqual([[], "unlisted"]);
  const forged = { ...client.nameStatement, text: client.nameStatement.text.replace("@client", "@clienu") };
  await expect(stage.clients.learn([forged], NOW)).rejects.toMatchObject({ code: "E_STATEMENT" });
});

test("a fingerprint that was given is not asked for, and stands above a pin", async () => {
  await using stage = await bare();
  await stage.clients.learn([statementBy(OTHER)], NOW);
  expect(await stage.clients.describe()).toEqual([expect.stringContaining(OTHER_OWNER)]);
  await using given = await setStage(NOTHING, { listed: new Map([[client.name, clientOwner]]) });
  expect([await given.clients.unresolved(), await given.clients.standingOf(client.name)]).toEqual([[], "known"]);
  expect(await given.clients.describe()).toEqual([`@client is pinned to ${clientOwner} (given)`]);
  await given.clients.learn([statementBy(OTHER)], NOW);
  expect([given.told, await listPins(given.keys)]).toEqual([[], []]);
});

test("an owner key that has handed the name on speaks for it no more, though it is the one that was given", async () => {
  await using stage = await setStage(NOTHING, { listed: new Map([[client.name, clientOwner]]) });
  const handedOn = rotation({ from: client.owner, to: OTHER, before: client.nameStatement });
  const member = rebinding(OTHER, clientBinding.statement, client.binding);
  const rotated = {
    ...claimOf("laptop-client"),
    statements: { ...clientStatements, names: [client.nameStatement, handedOn], member },
  };
  await stage.clients.pin(rotated, NOW);
  expect((await readPins(stage.keys, OWNER)).owner).toMatchObject({ owner: ed25519Line(OTHER.publicKey) });
  expect((await stage.clients.judge(rotated, NOW)).standing).toBe("known");

  const stolen = { ...rotated, statements: clientStatements };
  for (const attempt of [stage.clients.judge(stolen, NOW), stage.clients.pin(stolen, NOW)]) {
    await expect(attempt).rejects.toMatchObject({ code: "E_OWNER_KEY" });
  }
});

test("members of one name that prove themselves at once are all remembered", async () => {
  await using stage = await setStage(NOTHING);
  const members = Array.from({ length: 10 }, (_, i) => `member${i}`);
  await Promise.all(members.map((member) => stage.clients.pin(claimOf(member), NOW)));
  expect(await listPins(stage.keys)).toEqual([OWNER, ...members.map((member) => ({ name: client.name, member }))]);
  expect(stage.told).toEqual([`@client is pinned to ${clientOwner} (given)`]);
});

test("a member that is known already is not written again", async () => {
  await using stage = await setStage(NOTHING);
  const claim = claimOf("laptop");
  await stage.clients.pin(claim, NOW);
  const files = ["peer.@client.json", "peer.@client.laptop.json"].map((file) => join(stage.keys.path, "state", file));
  const before = files.map((file) => statSync(file).ino);
  await stage.clients.pin(claim, NOW + 5000);
  expect(files.map((file) => statSync(file).ino)).toEqual(before);
});

test("a request never makes a first contact, also when the pin is forgotten while it is served", async () => {
  await using stage = await bare();
  const claim = claimOf("laptop");
  await stage.clients.learn([client.nameStatement], NOW);
  expect((await stage.clients.judge(claim, NOW)).standing).toBe("known");
  await removePin(stage.keys, OWNER);
  expect((await stage.clients.judge(claim, NOW)).standing).toBe("unresolved");
  await expect(stage.clients.pin(claim, NOW)).rejects.toMatchObject({ code: "E_OWNER_KEY" });
  expect([await listPins(stage.keys), stage.told.length]).toEqual([[], 1]);
});

test("a pin that cannot be read lets nobody in", async () => {
  await using stage = await bare();
  mkdirSync(join(stage.keys.path, "state"), { mode: 0o700 });
  writeFileSync(join(stage.keys.path, "state/peer.@client.json"), "{}", { mode: 0o600 });
  const attempts = await Promise.allSettled([
    stage.clients.standingOf(client.name),
    stage.clients.describe(),
    stage.clients.judge(claimOf("laptop"), NOW),
    stage.clients.learn([client.nameStatement], NOW),
    stage.clients.pin(claimOf("laptop"), NOW),
  ]);
  for (const attempt of attempts) {
    expect(attempt).toMatchObject({ status: "rejected", reason: { code: "E_BAD_KEY_FILE" } });
  }
});

function bare(): Promise<Stage> {
  return setStage(NOTHING, {
    listed: new Map<typeof client.name, Fingerprint | undefined>([[client.name, undefined]]),
  });
}

function statementBy(owner: Ed25519PrivateKey) {
  const { name } = client;
  return signFirstNameStatement(suite, random, owner, { name, owner: ed25519Line(owner.publicKey), issued: NOW });
}

function claimOf(memberText: string): PeerClaim {
  const member = parseMember(memberText);
  const { seq: _seq, prev: _prev, ...fields } = clientBinding.statement;
  const binding = signFirstBinding(suite, random, client.owner, { ...fields, member });
  return { name: parseName("@client"), member, role: "client", statements: { ...clientStatements, member: binding } };
}
