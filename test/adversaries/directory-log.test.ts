/** A directory whose log lies: to a client, to one of two ends, and to somebody who activates a name. */
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { utf8 } from "../../keys/bytes.ts";
import type { LogProof } from "../../protocol/log/proof.ts";
import { openCheckpoint } from "../../protocol/log/checkpoint.ts";
import { random, suite } from "../directory/world.ts";
import type { Machine } from "../support/stack.ts";
import { anything, ForgingDirectory } from "./forging-directory.ts";
import { codeIn, type Outcome, runRows } from "./run.ts";

let forger: ForgingDirectory;
/** Has met mygateway of @device. */
let acquainted: Machine;
beforeAll(async () => {
  forger = await ForgingDirectory.start();
  await forger.startDaemon(forger.device);
  acquainted = forger.machine(forger.client);
  expect(await forger.connect(acquainted)).toMatchObject({ code: 0 });
});
afterEach(() => forger.beHonest());
afterAll(() => forger?.[Symbol.asyncDispose]());

type Proof = typeof forger.log.proof;

runRows(import.meta.filename, {
  "the log is another one of the same size than before": async () => {
    const fork = await forger.fork({ batches: -1 });
    await fork.append([anything(), anything()], []);
    expect(fork.checkpoint.size).toBe(forger.log.checkpoint.size);
    return await meetShown((subjects, since) => fork.proof(subjects, since));
  },
  "the log has grown from another one than was seen before": async () => {
    const fork = await forger.fork({ batches: 1 });
    while (fork.checkpoint.size < forger.log.checkpoint.size + 4) await fork.append([anything()], []);
    return await meetShown((subjects, since) => fork.proof(subjects, since));
  },
  "the log is smaller, as after an old backup": async () => {
    const old = await forger.fork({ batches: -1 });
    return await meetShown((subjects, since) => old.proof(subjects, since));
  },
  "the checkpoint is of a log with another origin": async () => {
    const other = await forger.fork({ origin: `${forger.world.directory.keyring.origin}x` });
    return await meetShown((subjects, since) => other.proof(subjects, since));
  },
  "the checkpoint is signed by another key": async () => {
    const other = await forger.fork({ privateKey: Ed25519PrivateKey.generate(suite, random) });
    return await meetShown((subjects, since) => other.proof(subjects, since));
  },
  "the proofs are of other subjects": () => {
    const { log } = forger;
    const proof: Proof = log.proof.bind(log);
    return meetShown((subjects, since) =>
      proof(
        subjects.map((subject) => `${subject}x`),
        since,
      ),
    );
  },
  "there is a proof too few": () => meetChanged(({ subjects }) => ({ subjects: subjects.slice(1) })),
  "there is a proof too many": () =>
    meetChanged(({ subjects }) => ({ subjects: [...subjects, ...subjects.slice(-1)] })),
  "the heads are others than the log's last leaf says": async () => {
    const fork = await forger.fork();
    await fork.append([anything()], []);
    const { headsRoot } = await fork.proof([], 0);
    return await meetChanged(() => ({ headsRoot }));
  },
  "client and device are shown two logs, which is seen at their first handshake": async () => {
    const forClient = await forger.fork();
    await forClient.append([anything()], []);
    await forger.log.append([anything()], []); // what the device is shown
    const newcomer = forger.machine(forger.client);
    const outcome = await meetShown((subjects, since) => forClient.proof(subjects, since), newcomer);
    const [{ notes } = expect.fail()] = [
      ...(await forger.shownEvidence(newcomer)),
      ...(await forger.shownEvidence(forger.device)),
    ];
    const { origin, log } = forger.world.directory.keyring;
    const [one, two] = notes.map((note) => openCheckpoint(suite, note, { origin, publicKey: log.publicKey }));
    expect(one?.size).toBe(two?.size);
    expect(one?.root).not.toEqual(two?.root);
    return outcome;
  },
  "an activation is acknowledged and the directory's own key is logged": async () =>
    await activateWith("@victim", (entries) =>
      entries.map((entry) => ({ ...entry, hash: suite.sha256(utf8("own key")) })),
    ),
  "an activation is acknowledged and nothing is logged": async () => await activateWith("@forgotten", () => []),
});

/** What sshnp says that has met the device before, when the directory proves its statements to clients so. */
async function meetShown(proof: Proof, client = forger.machine(acquainted)): Promise<Outcome> {
  forger.show(proof, "client");
  const { code, stdout, stderr } = await forger.connect(client);
  expect({ code, stdout }, stderr).toEqual({ code: 255, stdout: "" });
  const evidence = [...(await forger.shownEvidence(client)), ...(await forger.shownEvidence(forger.device))];
  return { code: codeIn(stderr), evidence: evidence.length };
}

/** The true proof, with something of it changed. */
function meetChanged(change: (proof: LogProof) => Partial<LogProof>): Promise<Outcome> {
  const { log } = forger;
  const honest: Proof = log.proof.bind(log);
  return meetShown(async (subjects, since) => {
    const proof = await honest(subjects, since);
    return { ...proof, ...change(proof) };
  });
}

/** Activates a new name at a directory that logs something else. */
async function activateWith(
  name: string,
  change: (entries: Parameters<typeof forger.log.append>[0]) => typeof entries,
): Promise<Outcome> {
  const { log } = forger;
  const honest = log.append.bind(log);
  forger.forge(log, "append", (entries, operations) => honest(change(entries), operations));
  const machine = forger.machine();
  const { code, stdout, stderr } = await forger.tryActivate(machine, name);
  expect(code, stderr).not.toBe(0);
  expect(stdout).not.toContain(name);
  return { code: codeIn(stderr) };
}
