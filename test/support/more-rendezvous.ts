import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { addRendezvous } from "./one-time-secrets.ts";
import { type RunningProcess, runProcess } from "./processes.ts";
import { type SlowProxy, startSlowProxy } from "./slow-proxy.ts";
import type { Stack } from "./stack.ts";

/** One more rendezvous of a stack's directory, behind a line of its own. To be disposed of. */
export interface FarRendezvous extends AsyncDisposable {
  readonly process: RunningProcess;
  /** Where both ends reach it. */
  readonly port: number;
  /** Sessions that have ended there. */
  readonly sessions: number;
}

/** Starts it, with a line of `roundTripMs` in front of it. */
export async function startFarRendezvous(
  stack: Stack,
  name: string,
  roundTripMs: number,
  ...words: string[]
): Promise<FarRendezvous> {
  let port = 0;
  const line: SlowProxy = await startSlowProxy(() => port, roundTripMs);
  const secret = await addRendezvous(join(stack.server.home, "directory"), name);
  const process = stack.server.start(
    "sshnp-rendezvous",
    ...["run", "--data", join(stack.server.home, name), "--directory", stack.address, "-c", secret],
    ...["--listen", "127.0.0.1:0", "--public", `127.0.0.1:${line.port}`, ...words],
  );
  await process.line(/:\d+$/);
  port = await listeningPort(stack, process);
  return {
    ...{ process, port: line.port },
    get sessions() {
      return sessionsOf(process);
    },
    async [Symbol.asyncDispose]() {
      await process.stop();
      await line[Symbol.asyncDispose]();
    },
  };
}

/** Sessions that have ended at a rendezvous. */
export function sessionsOf(rendezvous: RunningProcess): number {
  return rendezvous.stderr.split('"session ended"').length - 1;
}

/** In the place of a round trip: it did not answer. */
export const SILENT = 65_535;

/** What the client of a stack has measured of rendezvous, the nearest first. */
export async function measuredByClient(stack: Stack): Promise<{ readonly key: string; readonly ms: number }[]> {
  const state = join(stack.client.keys, "state");
  const file = (await readdir(state)).find((name) => /^rendezvous-distances\.[0-9a-f]{64}\.json$/.test(name));
  if (file === undefined) return [];
  const { measured } = JSON.parse(await readFile(join(state, file), "utf8")) as {
    measured: { key: string; ms: number }[];
  };
  return measured.toSorted((a, b) => a.ms - b.ms);
}

/** Where it listens itself: it names the line in front of it. */
async function listeningPort(stack: Stack, { pid }: RunningProcess): Promise<number> {
  const { stdout } = await runProcess("ss", ["-Hltnp"], { ...stack.server.options, cwd: "/" });
  const line = stdout.split("\n").find((entry) => entry.includes(`pid=${pid},`));
  return Number(/127\.0\.0\.1:(\d+)/.exec(line ?? "")?.[1]);
}
