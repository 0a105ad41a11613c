import { join } from "node:path";
import { expect, test } from "vitest";
import { Accounts } from "../../directory/accounts/accounts.ts";
import { StatementRates } from "../../directory/accounts/statement-rates.ts";
import { putStatements } from "../../directory/client.ts";
import { refusalError } from "../../directory/client/refusal-error.ts";
import { Log } from "../../directory/log/log.ts";
import { LevelDatabase } from "../../directory/level-database.ts";
import { Store } from "../../directory/store.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import type { Fingerprint } from "../../keys/openssh.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { NAME_STATEMENTS_BURST, NAME_STATEMENTS_PER_SECOND, TOLD_TO_WAIT_MS } from "../../protocol/limits.ts";
import { delegationText, policyText } from "../../protocol/owner-statements.ts";
import { signWith } from "../../protocol/statement-fields.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { bindingOf, newApplicant } from "./applicant.ts";
import { newPerson, patience, random, suite } from "./world.ts";

const name = parseName("@acme");
const DIRECTORY = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" as Fingerprint;
const many = (count: number, isDelegated: boolean) => Array.from({ length: count }, () => ({ name, isDelegated }));

test("a name gets its burst of statements and then some a second; one that is too many counts none", () => {
  let now = 0;
  const rates = new StatementRates({ monotonic: () => now });
  expect(rates.take(many(NAME_STATEMENTS_BURST - 1, false))).toBe(0);
  expect(rates.take(many(2, false))).toBe(1000 / NAME_STATEMENTS_PER_SECOND);
  expect(rates.take(many(1, false))).toBe(0);
  expect(rates.take([{ name: parseName("@other"), isDelegated: false }, ...many(1, true)])).toBe(0);
  now += 1000;
  rates.sweep();
  expect(rates.take(many(NAME_STATEMENTS_PER_SECOND, false))).toBe(0);
  expect(rates.take(many(1, false))).toBeGreaterThan(0);
});

test("whoever floods a name with a stolen token is told to wait, and its owner goes on", async () => {
  await using folder = await temporaryFolder();
  await using store = new Store(await LevelDatabase.open(join(folder.path, "store")));
  const privateKey = Ed25519PrivateKey.generate(suite, random);
  const log = await Log.open({ suite, database: store.database, privateKey, origin: "sshnp-directory/test" });
  const rates = new StatementRates({ monotonic: () => 0 });
  const accounts = new Accounts({ suite, random }, store, log, DIRECTORY, rates);
  const owner = newPerson(name, parseMember("laptop"), "client");
  await store.putName(name, { added: 0, activationKey: owner.owner.publicKey, statements: [owner.statement] });
  const token = Ed25519PrivateKey.generate(suite, random);
  const issued = Date.now();
  const first = { name, seq: 1, prev: null, issued, expires: issued + 3_600_000 };
  const given = { id: "0".repeat(16), key: token.publicKey, role: "device", pattern: "*", uses: 9 } as const;
  const delegation = signWith(suite, owner.owner, delegationText(random, { ...first, ...given }));
  const sender = owner.x25519.publicKey;
  expect(await accounts.put([delegation], sender, issued)).toMatchObject({ isNew: true });

  rates.take(many(NAME_STATEMENTS_BURST, true));
  const machine = newApplicant(name, "gw-1");
  const binding = bindingOf({ owner: token }, machine);
  const size = log.checkpoint.size;
  const refused = { refused: "E_RATE", wait: 1000 };
  expect(await accounts.put([binding], machine.x25519.publicKey, issued)).toEqual(refused);
  expect(log.checkpoint.size).toBe(size);
  const policy = (seq: number) =>
    signWith(
      suite,
      owner.owner,
      policyText(random, { ...first, expires: null, seq, policy: "version: 1\ngrants: []\n" }),
    );
  expect(await accounts.put([policy(1)], sender, issued)).toMatchObject({ isNew: true });

  rates.take(many(NAME_STATEMENTS_BURST - 2, false));
  expect(await accounts.put([delegation], sender, issued)).toMatchObject({ isNew: false });
  const second = signWith(
    suite,
    owner.owner,
    delegationText(random, { ...first, ...given, id: "1".repeat(16), key: owner.ed25519.publicKey }),
  );
  expect(await accounts.put([second], sender, issued)).toEqual(refused);
});

test("who puts statements waits for as long as the directory says, and for no more than TOLD_TO_WAIT_MS", async () => {
  const answers = [refusalError("E_RATE", 1), refusalError("E_BUSY", 1), refusalError("E_RATE", TOLD_TO_WAIT_MS)];
  const directory = {
    ...{ suite, checkpointSize: 0, directoryTime: 0, keyList: () => Promise.resolve() },
    request: () => Promise.reject(answers.shift() ?? new Error("asked once more")),
    acceptProof: () => expect.fail(),
  };
  const sender = X25519PrivateKey.generate(suite, random);
  const putting = putStatements(directory, sender, [], { signal: patience() });
  await expect(putting).rejects.toMatchObject({ code: "E_RATE", wait: TOLD_TO_WAIT_MS });
  expect(answers).toEqual([]);
});
