/**
 * A directory that shows a client and a device two logs of different sizes, which nobody can tell from one log at two times by
 * looking at both notes. Each end has the other's proved by the public tiles, which are of one log at most.
 */
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { readSeenLog, type SeenLog, writeSeenLog } from "../../keys/log-files.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { PENDING_CHECKPOINT_MS } from "../../protocol/limits.ts";
import type { Log } from "../../directory/log/log.ts";
import type { RunningProcess } from "../support/processes.ts";
import type { Machine } from "../support/stack.ts";
import { anything, ForgingDirectory } from "./forging-directory.ts";
import { type Outcome, runRows } from "./run.ts";
import { openSecondDoor, type SecondDoor } from "./second-door.ts";

let forger: ForgingDirectory;
const doors: SecondDoor[] = [];
beforeAll(async () => {
  forger = await ForgingDirectory.start();
});
afterEach(async () => {
  await forger.rest();
  for (const door of doors.splice(0)) await door[Symbol.asyncDispose]();
});
afterAll(() => forger?.[Symbol.asyncDispose]());

runRows(import.meta.filename, {
  "client and device are shown two logs, and the tiles are the device's: the client cannot have it proved": async () =>
    await meetAsClient(await split({ larger: "device", tiles: "device's" })),
  "client and device are shown two logs, and the tiles are the client's: the client cannot have it proved": async () =>
    await meetAsClient(await split({ larger: "client", tiles: "client's" })),
  "client and device are shown two logs, and the tiles are the device's: the device cannot have it proved": async () =>
    await meetAsDevice(await split({ larger: "device", tiles: "device's" })),
  "client and device are shown two logs, and the tiles are the client's: the device cannot have it proved": async () =>
    await meetAsDevice(await split({ larger: "client", tiles: "client's" })),
  "client and device ask at two doors, each with its own log and tiles: the client cannot have it proved": async () =>
    await meetAsClient(await split({ larger: "client", tiles: "each one's" })),
  "client and device ask at two doors, each with its own log and tiles: the device cannot have it proved": async () =>
    await meetAsDevice(await split({ larger: "device", tiles: "each one's" })),
  "client and device are shown two logs, and no tiles that would show it: the client has nothing proved": async () =>
    await meetAsClient(await split({ larger: "device", tiles: "nobody's" })),
  "client and device are shown two logs, and no tiles that would show it: the device has nothing proved": async () =>
    await meetAsDevice(await split({ larger: "client", tiles: "nobody's" })),
});

interface Split {
  readonly larger: "client" | "device";
  readonly tiles: "device's" | "client's" | "each one's" | "nobody's";
}

interface Ends {
  readonly client: Machine;
  readonly device: Machine;
  readonly daemon: RunningProcess;
  /** For sshnp: at which door the client asks. */
  readonly words: readonly string[];
}

/** Two logs from here on. Whoever cannot have it proved asks for tiles of the larger one, so that none is missing. */
async function split({ larger, tiles }: Split): Promise<Ends> {
  const forClient = await forger.fork();
  const [few, many] = [[anything()], [anything(), anything(), anything()]];
  await forClient.append(larger === "client" ? many : few, []);
  await forger.log.append(larger === "client" ? few : many, []);
  expect(forClient.checkpoint.size > forger.log.checkpoint.size).toBe(larger === "client");
  forger.show((subjects, since) => forClient.proof(subjects, since), "client");
  if (tiles === "client's") forger.serveTiles(forClient);
  if (tiles === "nobody's") forger.serveTiles(await forger.fork({ batches: 0 }));
  const words = tiles === "each one's" ? ["--directory", await secondAddress(forClient)] : [];
  const device = forger.machine(forger.device);
  return { words, client: forger.machine(forger.client), device, daemon: await forger.startDaemon(device) };
}

/** The directory's at another door of it, where the public files are of this log. */
async function secondAddress(log: Log): Promise<string> {
  const { url, fingerprint } = forger.world.address;
  const door = await openSecondDoor(url, log);
  doors.push(door);
  return `http://127.0.0.1:${door.port}#${fingerprint}`;
}

/** The client hears of the device's log with the device's first answer. */
async function meetAsClient({ client, device, words }: Ends): Promise<Outcome> {
  const code = await talk(client, ["-v", ...words], (session) =>
    session.errorLine(/a checkpoint that a peer has seen is not proved yet: .* \[(E_[A-Z]+)\]$/),
  );
  await aDayPasses(client);
  await talk(client, words, (session) =>
    session.errorLine(/^sshnp: for a day the directory's log has not been proved/),
  );
  return await convictingNothing(client, device, code?.[1]);
}

/** The device hears of the client's log with the first request after the one for which the client was shown it. */
async function meetAsDevice({ client, device, daemon, words }: Ends): Promise<Outcome> {
  const hear = async (running: RunningProcess, line: RegExp): Promise<RegExpMatchArray> => {
    for (let i = 0; i < 2; i++) await talk(client, words);
    return await running.errorLine(line);
  };
  const code = await hear(daemon, /"code":"(E_[A-Z]+)".*"a checkpoint that a peer has seen is not proved yet/);
  await daemon.kill("SIGTERM");
  await aDayPasses(device);
  const after = await forger.startDaemon(device);
  await hear(after, /"level":50.*"for a day the directory's log has not been proved/);
  return await convictingNothing(device, client, code[1]);
}

/** A session that lasts until the client has said something: none waits by itself for what is proved in the background. */
async function talk<Said>(
  client: Machine,
  words: readonly string[],
  hear?: (session: RunningProcess) => Promise<Said>,
): Promise<Said | undefined> {
  const session = forger.startSession(client, ...words);
  const said = await hear?.(session);
  session.stdin.end();
  const { code, stderr } = await session.exit();
  expect(code, stderr).toBe(0); // two sizes are no lie until it is clear that they are
  return said;
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
