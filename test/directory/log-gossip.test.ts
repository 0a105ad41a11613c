import { expect, test } from "vitest";
import { openSeenLog } from "../../directory/client.ts";
import { readSeenLog } from "../../keys/log-files.ts";
import { parseFingerprint } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { readDirectoryKeys } from "../../keys/service-key-files.ts";
import { PENDING_CHECKPOINT_MS } from "../../protocol/limits.ts";
import { encodeLogProof, LogEvidenceError } from "../../protocol/log/proof.ts";
import { LogTree } from "../rendezvous/log-tree.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { textHash } from "./log-world.ts";
import { patience, suite, World } from "./world.ts";

async function follow(world: World, path: string) {
  const folder = await PrivateFolder.openOrCreate(path);
  const { fingerprint } = world.directory.keyring;
  const errors: unknown[] = [];
  let now = Date.now();
  const seen = await openSeenLog(suite, folder, parseFingerprint(fingerprint), {
    now: () => now,
    onError: (error) => errors.push(error),
  });
  const { list } = await world.client().keyList({ signal: patience() });
  const read = () => readSeenLog(folder, fingerprint);
  const accept = async () => {
    const { statementLog } = world.directory;
    const proof = await statementLog.proof(["@acme"], seen.follower.size(list));
    seen.follower.accept(list, encodeLogProof(proof), Date.now());
    await seen.settled();
  };
  const alarms: string[] = [];
  const prove = async () => {
    const at = { base: world.address.url, signal: patience(), warn: () => {} };
    await seen.provePending(list, at, (text) => alarms.push(text));
  };
  const pass = (ms: number): void => void (now += ms);
  return { ...seen, list, read, accept, prove, alarms, errors, pass };
}

test("what a peer has seen of an honest log is proved by its tiles, whichever of both has seen more", async () => {
  await using folder = await temporaryFolder();
  await using world = await World.start();
  const { statementLog } = world.directory;
  const grow = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i++) await statementLog.append([{ subject: "@acme", hash: textHash(`${i}`) }], []);
  };
  const own = await follow(world, `${folder.path}/keys`);
  await grow(70);
  const before = statementLog.checkpoint.text;
  await own.accept();
  await grow(90);
  await own.accept();
  await grow(150);
  const after = statementLog.checkpoint.text;
  own.follower.compare(own.list, before);
  own.follower.compare(own.list, after);
  await own.settled();
  expect((await own.read()).pending).toMatchObject([{ checkpoint: before }, { checkpoint: after }]);
  await own.prove();
  expect(own.errors).toEqual([]);
  expect((await own.read()).pending).toEqual([]);
  expect(own.alarms).toEqual([]);
}, 60_000);

test("two trees of one size are evidence at once, and kept", async () => {
  await using folder = await temporaryFolder();
  await using world = await World.start();
  const own = await follow(world, `${folder.path}/keys`);
  await own.accept();
  const key = (await readDirectoryKeys(suite, world.data))?.log;
  if (key === undefined) throw new Error("the directory has no keys");
  const other = new LogTree({ origin: world.directory.keyring.origin, key }, 1).checkpoint(1);
  expect(() => own.follower.compare(own.list, other)).toThrow(LogEvidenceError);
  await own.settled();
  expect((await own.read()).evidence).toMatchObject([{ notes: [own.follower.checkpoint, other] }]);
});

test("a log that shows two parties two histories cannot prove one to the other: after a day the alarm is raised", async () => {
  await using folder = await temporaryFolder();
  await using world = await World.start();
  const own = await follow(world, `${folder.path}/keys`);
  await world.directory.statementLog.append([{ subject: "@acme", hash: textHash("one") }], []);
  await own.accept();
  const key = (await readDirectoryKeys(suite, world.data))?.log;
  if (key === undefined) throw new Error("the directory has no keys");
  const other = new LogTree({ origin: world.directory.keyring.origin, key }, 2).checkpoint(2);
  own.follower.compare(own.list, other);
  await own.prove();
  expect(own.errors).toMatchObject([{ code: "E_LOG" }]);
  expect(own.alarms).toEqual([]);
  own.pass(PENDING_CHECKPOINT_MS);
  await own.prove();
  expect(own.alarms).toHaveLength(1);
  expect((await own.read()).pending).toMatchObject([{ checkpoint: other }]);
  // A peer's note of another log, or with a signature that is none, says nothing of this one.
  own.follower.compare(own.list, other.replace(/\n2\n/, "\n3\n"));
  await own.settled();
  expect((await own.read()).pending).toHaveLength(1);
});
