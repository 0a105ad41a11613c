import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Accounts } from "../../directory/accounts/accounts.ts";
import { StatementRates } from "../../directory/accounts/statement-rates.ts";
import { Keyring } from "../../directory/keyring.ts";
import { Log } from "../../directory/log/log.ts";
import { RendezvousRegistry } from "../../directory/rendezvous-registry.ts";
import { LevelDatabase } from "../../directory/level-database.ts";
import { Store } from "../../directory/store.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { rendezvousActivationProof } from "../../protocol/messages/activation.ts";
import { policyText } from "../../protocol/owner-statements.ts";
import { seqOf, signWith } from "../../protocol/statement-fields.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { DoubtfulDisk } from "./doubtful-disk.ts";
import { newPerson, newRendezvous, random, suite, TestClock } from "./world.ts";

const NOW = Date.now();
let folder: TemporaryFolder;
let store: Store;
let disk: DoubtfulDisk;
let keyring: Keyring;
let log: Log;
beforeEach(async () => {
  folder = await temporaryFolder();
  store = new Store(await LevelDatabase.open(join(folder.path, "store")));
  disk = new DoubtfulDisk(store.database);
  keyring = await Keyring.open(
    { suite, random },
    await PrivateFolder.openOrCreate(join(folder.path, "np")),
    store,
    NOW,
  );
  log = await Log.open({ suite, database: disk, privateKey: keyring.log, origin: keyring.origin });
});
afterEach(async () => {
  await store.close();
  await folder.remove();
});

test("of two statements of one number only one is ever taken, also when the disk took the first and could not say so", async () => {
  const owner = newPerson(parseName("@acme"), parseMember("laptop"), "client", { issued: NOW });
  const { name } = owner;
  await store.putName(name, { added: NOW, activationKey: owner.owner.publicKey, statements: [owner.statement] });
  const accounts = new Accounts(
    { suite, random },
    store,
    log,
    keyring.fingerprint,
    new StatementRates(new TestClock()),
  );
  const put = (signed: SignedText) => accounts.put([signed], owner.x25519.publicKey, NOW);
  const policy = (note: string): SignedText => {
    const fields = { name, seq: 1, prev: null, issued: NOW, expires: null };
    const text = policyText(random, { ...fields, policy: `version: 1\ngrants: []\n# ${note}\n` });
    return signWith(suite, owner.owner, text);
  };
  const [first, second] = [policy("first"), policy("second")];
  disk.fails = "taken";
  await expect(put(first)).rejects.toMatchObject({ code: "E_STORAGE" });
  expect(await put(second)).toEqual({ refused: "E_STATEMENT" });
  expect(await put(first)).toMatchObject({ isNew: false });
  expect(await store.policy(name)).toEqual(first);
});

test("a rendezvous has one statement of a number, also when the disk took it and could not say so", async () => {
  const registry = await RendezvousRegistry.load({ suite, random }, store, keyring, log);
  const secret = Ed25519PrivateKey.generate(suite, random);
  await registry.add("rz1", secret.publicKey, NOW);
  const { x25519, ed25519, addresses } = newRendezvous(["tcp://127.0.0.1:7801"]);
  const identity = { x25519: x25519.publicKey, ed25519: ed25519.publicKey };
  const nonce = random(16);
  const proof = rendezvousActivationProof({ nonce, directoryFingerprint: keyring.fingerprint }, identity);
  const activation = {
    ...{ ...identity, nonce, addresses, activationKey: secret.publicKey },
    ...{ activationSignature: suite.sign(secret, proof), ownSignature: suite.sign(ed25519, proof) },
  };
  const activate = () => registry.activate(activation, x25519.publicKey, NOW);
  const storedStatement = async () => (await store.rendezvous())[0]?.[1].statement;
  disk.fails = "taken";
  await expect(activate()).rejects.toMatchObject({ code: "E_STORAGE" });
  await disk.settle();
  const taken = (await storedStatement()) ?? expect.fail();
  await expect(activate()).rejects.toMatchObject({ code: "E_STORAGE" });
  expect(await activate()).toMatchObject({ statement: taken, isNew: false });
  const moved = { boot: random(16), legs: 0, addresses: ["tcp://127.0.0.1:7802"] };
  await registry.report(moved, x25519.publicKey, NOW);
  const next = (await storedStatement()) ?? expect.fail();
  expect([taken, next].map(seqOf)).toEqual([1, 2]);
});
