import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSeenLog } from "../../directory/client.ts";
import { readSeenLog } from "../../keys/log-files.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import type { KeyList } from "../../protocol/key-list.ts";
import { PENDING_CHECKPOINT_MS } from "../../protocol/limits.ts";
import { encodeLogProof } from "../../protocol/log/proof.ts";
import { keyList, ORIGIN, people } from "../sshnpd/stage.ts";
import { StatementLog } from "../support/statement-log.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { textHash } from "./log-world.ts";
import { patience, suite, World } from "./world.ts";

const DIRECTORY = fingerprint(suite, parsePublicKeyLine(ed25519Line(people.directory.root.publicKey)).blob);
const NOBODY = new URL("http://127.0.0.1:1");

let place: TemporaryFolder;
let folder: PrivateFolder;
beforeEach(async () => {
  place = await temporaryFolder();
  folder = await PrivateFolder.openOrCreate(join(place.path, "keys"));
});
afterEach(() => place.remove());

const onDisk = () => readSeenLog(folder, DIRECTORY);

/** A process with the keys folder. */
async function start(now: () => number = Date.now) {
  const errors: unknown[] = [];
  const alarms: string[] = [];
  const seen = await openSeenLog(suite, folder, DIRECTORY, { now, onError: (error) => errors.push(error) });
  const sees = async (log: StatementLog): Promise<void> => {
    const { list } = keyList;
    seen.follower.accept(list, log.prove([], seen.follower.size(list)), Date.now());
    await seen.settled();
  };
  const prove = async (base = NOBODY): Promise<void> => {
    const at = { base, signal: patience(), warn: () => {} };
    await seen.provePending(keyList.list, at, (text) => alarms.push(text));
  };
  return { ...seen, sees, prove, errors, alarms };
}

/** A history of so many statements, in which `first` is the first. */
function history(first: string, count: number): StatementLog {
  const log = new StatementLog(suite, people.directory.log, ORIGIN);
  return grown(log.add({ text: statement(first) }), count - 1);
}

function grown(log: StatementLog, count: number): StatementLog {
  for (let i = 0; i < count; i++) log.add({ text: statement(`${i}`) });
  return log;
}

function statement(salt: string): string {
  return people.device.binding.text.replace(/"salt":"[^"]*"/, `"salt":"${salt}"`);
}

test("a process goes on to remember the log when another one with the same folder has written", async () => {
  const [daemon, client] = [await start(), await start()];
  const log = history("a", 1);
  await client.sees(log);
  const theirs = log.checkpoint;
  for (let i = 0; i < 10; i++) await daemon.sees(grown(log, 5));
  expect(daemon.errors).toEqual([]);
  // The client's is not forgotten either: it need not be of the same log.
  expect(await onDisk()).toMatchObject({ checkpoint: log.checkpoint, pending: [{ checkpoint: theirs }] });
  const after = await start();
  await expect(after.sees(history("b", 60))).rejects.toMatchObject({ code: "E_LOG" });
});

test("two histories that two processes were shown, as large, are evidence", async () => {
  const [daemon, client] = [await start(), await start()];
  const [one, other] = [history("a", 5), history("b", 5)];
  await client.sees(one);
  await daemon.sees(other);
  expect(daemon.errors).toMatchObject([{ name: "SecurityError", code: "E_LOG" }]);
  expect(await onDisk()).toMatchObject({
    checkpoint: one.checkpoint,
    evidence: [{ notes: [one.checkpoint, other.checkpoint] }],
  });
});

test.each([
  ["larger", 5],
  ["smaller", 9],
])("of two histories that two processes were shown, the one that is %s stays until it is proved", async (_, count) => {
  const [daemon, client] = [await start(), await start()];
  const [one, other] = [history("a", count), history("b", 7)];
  await client.sees(one);
  await daemon.sees(other);
  const [older, newer] = count < 7 ? [one, other] : [other, one];
  for (const each of [daemon, client, await start()]) {
    await each.prove();
    expect(each.errors).toMatchObject([{ code: "E_DIRECTORY" }]);
    expect(await onDisk()).toMatchObject({ checkpoint: newer.checkpoint, pending: [{ checkpoint: older.checkpoint }] });
  }
  // The daemon's goes on, and what is on disk is not what it began from.
  grown(other, 10);
  await daemon.sees(other);
  const { checkpoint, pending = [] } = await onDisk();
  expect(checkpoint).toBe(other.checkpoint);
  expect(pending.map((each) => each.checkpoint)).toContain(one.checkpoint);
});

test("twenty processes at once lose nothing but what was overwritten, and an honest log proves the rest", async () => {
  await using world = await World.start();
  const { statementLog, keyring } = world.directory;
  const errors: unknown[] = [];
  let list: KeyList | undefined;
  let appended: Promise<unknown> = Promise.resolve();
  const append = async (text: string): Promise<void> => {
    appended = appended.then(() => statementLog.append([{ subject: "@acme", hash: textHash(text) }], []));
    await appended;
  };
  const processes = Array.from({ length: 20 }, async (_, i) => {
    const seen = await openSeenLog(suite, folder, world.address.fingerprint, {
      ...{ now: Date.now, onError: (error) => errors.push(error) },
    });
    list ??= (await world.client().keyList({ signal: patience() })).list;
    for (let j = 0; j < 3; j++) {
      await append(`${i} ${j}`);
      const proof = await statementLog.proof([], seen.follower.size(list));
      seen.follower.accept(list, encodeLogProof(proof), Date.now());
    }
    await seen.settled();
    return seen;
  });
  const all = await Promise.all(processes);
  const read = () => readSeenLog(folder, keyring.fingerprint);
  expect(errors).toEqual([]);
  expect((await read()).pending?.length ?? 0).toBeLessThanOrEqual(16);
  const at = { base: world.address.url, signal: patience(), warn: () => {} };
  const alarms: string[] = [];
  if (list !== undefined) await all[0]?.provePending(list, at, (text) => alarms.push(text));
  expect([errors, alarms, (await read()).pending ?? []]).toEqual([[], [], []]);
}, 60_000);

test("a directory that lets each request for a tile hang does not keep the alarm from being raised", async () => {
  await using silent = createServer(() => {}).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const base = new URL(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
  let now = Date.now();
  const daemon = await start(() => now);
  const [one, other] = [history("a", 5), history("b", 7)];
  await daemon.sees(one);
  daemon.follower.compare(keyList.list, other.checkpoint);
  await daemon.settled();
  const asked = once(silent, "request");
  now += PENDING_CHECKPOINT_MS;
  const proving = daemon.prove(base);
  await asked;
  expect(daemon.alarms).toHaveLength(1);
  silent.closeAllConnections();
  await proving;
  expect([daemon.alarms, daemon.errors]).toMatchObject([[expect.any(String)], [{ code: "E_DIRECTORY" }]]);
});
