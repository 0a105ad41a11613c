/**
 * A directory that shows a client and a device two logs of different sizes, which nobody can tell from one log at two times by
 * looking at both notes. Each end has the other's proved by the public tiles, which are of one log at most.
 */
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { readSeenLog, type SeenLog, writeSeenLog } from "../../keys/log-files.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { PENDING_CHECKPOINT_MS } from "../../protocol/limits.ts";
import type { RunningProcess } from "../support/processes.ts";
import type { Machine } from "../support/stack.ts";
import { anything, ForgingDirectory } from "./forging-directory.ts";
import { type Outcome, runRows } from "./run.ts";

let forger: ForgingDirectory;
beforeAll(async () => {
  forger = await ForgingDirectory.start();
});
afterEach(() => forger.rest());
afterAll(() => forger?.[Symbol.asyncDispose]());

runRows(import.meta.filename, {
  "client and device are shown two logs, and the tiles are the device's: the client cannot have it proved": async () =>
    await meetAsClient(await split({ larger: "device" })),
  "client and device are shown two logs, and the tiles are the client's: the client cannot have it proved": async () =>
    await meetAsClient(await split({ larger: "client" })),
  "client and device are shown two logs, and the tiles are the device's: the device cannot have it proved": async () =>
    await meetAsDevice(await split({ larger: "device" })),
  "client and device are shown two logs, and the tiles are the client's: the device cannot have it proved": async () =>
    await meetAsDevice(await split({ larger: "client" })),
});

interface Ends {
  readonly client: Machine;
  readonly device: Machine;
  readonly daemon: RunningProcess;
}

/** Two logs from here on. The tiles are those of the larger one, so that none is missing. */
async function split({ larger }: { readonly larger: "client" | "device" }): Promise<Ends> {
  const forClient = await forger.fork();
  const [few, many] = [[anything()], [anything(), anything(), anything()]];
  await forClient.append(larger === "client" ? many : few, []);
  await forger.log.append(larger === "client" ? few : many, []);
  expect(forClient.checkpoint.size > forger.log.checkpoint.size).toBe(larger === "client");
  forger.show((subjects, since) => forClient.proof(subjects, since), "client");
  if (larger === "client") forger.serveTiles(forClient);
  const device = forger.machine(forger.device);
  return { client: forger.machine(forger.client), device, daemon: await forger.startDaemon(device) };
}

/** The client hears of the device's log with the device's first answer. */
async function meetAsClient({ client, device }: Ends): Promise<Outcome> {
  const code = await talk(client, ["-v"], (session) =>
    session.errorLine(/the device's checkpoint is not proved to be of the same log: .* \[(E_[A-Z]+)\]$/),
  );
  await aDayPasses(client);
  await talk(client, [], (session) => session.errorLine(/^sshnp: for a day the directory's log has not been proved/));
  return await convictingNothing(client, device, code[1]);
}

/** The device hears of the client's log with the first request after the one for which the client was shown it. */
async function meetAsDevice({ client, device, daemon }: Ends): Promise<Outcome> {
  const code = await twice(
    client,
    daemon,
    /"code":"(E_[A-Z]+)".*"a client's checkpoint is not proved to be of the same/,
  );
  await daemon.kill("SIGTERM");
  await aDayPasses(device);
  const after = await forger.startDaemon(device);
  await twice(client, after, /"level":50.*"for a day the directory's log has not been proved/);
  return await convictingNothing(device, client, code[1]);
}

/** What one end says while a session is up: nothing keeps a command from its end for what is proved in the background. */
async function talk<Said>(
  client: Machine,
  words: readonly string[],
  hear: (session: RunningProcess) => Promise<Said>,
): Promise<Said> {
  const session = forger.startSession(client, ...words);
  const said = await hear(session);
  session.stdin.end();
  expect(await session.exit()).toMatchObject({ code: 0 }); // two sizes are no lie until it is clear that they are
  return said;
}

async function twice(client: Machine, daemon: RunningProcess, line: RegExp): Promise<RegExpMatchArray> {
  for (let i = 0; i < 2; i++) {
    const { code, stderr } = await forger.connect(client);
    expect(code, stderr).toBe(0);
  }
  return await daemon.errorLine(line);
}

/** Neither machine has two notes of one size. `sshnp trust evidence` shows on the victim's what was not proved for a day. */
async function convictingNothing(victim: Machine, other: Machine, code: string | undefined): Promise<Outcome> {
  const { pending = [], checkpoint } = await seenBy(victim);
  const { checkpoint: others } = await seenBy(other);
  const late = pending.map((one) => one.checkpoint);
  expect(late).toContain(others);
  const { code: status, stdout } = await victim.run("sshnp", "trust", "evidence");
  expect({ status, stdout }).toEqual({ status: 1, stdout: expect.stringContaining("has not been proved, since") });
  for (const line of [others, checkpoint].join("\n").split("\n")) expect(stdout).toContain(line);
  return { code, evidence: (await forger.evidence(victim)).length + (await forger.evidence(other)).length };
}

/** As if what is not proved yet had come a day earlier. */
async function aDayPasses(machine: Machine): Promise<void> {
  const seen = await seenBy(machine);
  const earlier = (seen.pending ?? []).map((one) => ({ ...one, since: one.since - PENDING_CHECKPOINT_MS }));
  expect(earlier.length).toBeGreaterThan(0);
  await writeSeenLog(await folderOf(machine), { ...seen, pending: earlier });
}

async function seenBy(machine: Machine): Promise<SeenLog> {
  return await readSeenLog(await folderOf(machine), forger.world.directory.keyring.fingerprint);
}

async function folderOf({ keys }: Machine): Promise<PrivateFolder> {
  return (await PrivateFolder.open(keys)) ?? expect.fail("there are no keys");
}
