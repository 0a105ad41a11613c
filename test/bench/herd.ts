import { mkdir } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { setTimeout as delay, setInterval } from "node:timers/promises";
import type { RunningProcess } from "../support/processes.ts";
import { RETURN_SLOT_MS } from "../../protocol/limits.ts";
import { Machine, Stack } from "../support/stack.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { Fleet, processesFor } from "./fleet.ts";
import type { Bench } from "./bench.ts";
import { Callers } from "./callers.ts";
import type { CallersAnswer } from "./callers-commands.ts";
import { failuresOf } from "./connects.ts";
import type { FleetAnswer } from "./fleet-commands.ts";
import { cpuSecondsOf, residentOf } from "./proc.ts";
import { percentile, type Row } from "./table.ts";

const HERD_DEVICES = 15_000;
const HERD_SECONDS = 20;
const ROUND_TRIP_MS = 200; // of the slow line
const ECHO_MS = 50; // between two lines through the live session
const PROGRESS_MS = 5_000;
const CONNECTS_PER_SECOND = 20; // asked for while devices come back
const HEALTH_MS = 50; // between two looks whether the directory answers

/**
 * A directory is killed with all devices linked, and started again at once; a session through it lives all the while, and others are
 * asked for. Then it is restarted as one does on purpose, and killed once more over a slow line.
 */
export async function herd({ signal, devices, people, log, row }: Bench): Promise<void> {
  await using folder = await temporaryFolder();
  const owner = new Machine(join(folder.path, "owner"));
  await mkdir(owner.home, { mode: 0o700 });
  await using stack = await Stack.start({ withoutTap: true });
  log(`enrolling ${devices} devices`);
  const { address } = stack;
  const secret = await stack.addName("@fleet");
  await using fleet = await Fleet.enrol({
    ...{ address, secret, devices, signal },
    machine: owner,
    processes: processesFor(devices),
  });
  const data = join(stack.server.home, "directory");
  await using callers = await Callers.activate(fleet, { address, data, people }, owner.options, signal);
  log("linking them");
  await fleet.bringUp();
  const before = await fleet.report();
  await using session = await LiveSession.start(stack, signal);

  log("kill -9 of the directory");
  const { killed, listening } = await endDirectory(stack, "SIGKILL");
  await callers.begin({ perSecond: CONNECTS_PER_SECOND, atOnce: 0 });
  const { pid } = stack.directory;
  const cpuBefore = cpuSecondsOf(pid);
  const health = new HealthWatch(stack.address);
  const whole = await watched(fleet, fleet.whole(killed), log);
  const cpu = cpuSecondsOf(pid) - cpuBefore;
  const asked = await callers.end();
  const slowest = await health.end();
  const echo = await session.end();
  const { rss } = residentOf(pid);

  const until = (share: number): number => secondsUntil(share, whole, listening);
  const others = { better: "lower", peers: [] } as const;
  const away = `${((listening - killed) / 1000).toFixed(2)} s after the kill it listened again; ${whole.losses - before.losses} links lost and attempts failed; its RSS then: ${Math.round(rss / 1e6)} MB`;
  const rows: Row[] = [
    { ...others, name: `herd of ${devices}, 50 % linked again`, unit: "s", ours: until(0.5), note: away },
    { ...others, name: `herd of ${devices}, 95 % linked again`, unit: "s", ours: until(0.95) },
    {
      ...{ ...others, name: `herd of ${devices}, all linked again`, unit: "s", ours: until(1) },
      target: { value: (HERD_SECONDS * devices) / HERD_DEVICES },
      note: `the target is ${HERD_DEVICES} in ${HERD_SECONDS} s; the devices and the directory share this machine's cores`,
    },
    {
      ...{ ...others, name: "herd, directory's CPU for each device", unit: "ms", ours: (1000 * cpu) / devices },
      note: `${cpu.toFixed(1)} s in all; the devices' own: ${((1000 * (whole.cpuSeconds - before.cpuSeconds)) / devices).toFixed(2)} ms each, on the same cores`,
    },
    {
      ...{ ...others, name: "herd, slowest GET /healthz meanwhile", unit: "ms", ours: slowest },
      note: "asked 20 times a second, each time on a new connection, from the first line of the new directory on",
    },
    {
      ...{ ...others, name: "herd, slowest echo of a live session", unit: "ms", ours: echo },
      note: "a line each 50 ms through sshnp and cat, none lost; on the same cores as the herd",
    },
  ];
  for (const each of [...rows, ...rowsOfConnects("herd", asked)]) row(each);

  log("a planned restart of the directory");
  const planned = await endDirectory(stack, "SIGTERM");
  await callers.begin({ perSecond: CONNECTS_PER_SECOND, atOnce: 0 });
  const back = await watched(fleet, fleet.whole(planned.killed), log);
  const askedThen = await callers.end();
  row({
    ...{ ...others, name: `planned restart of ${devices}, all linked again`, unit: "s" },
    ours: secondsUntil(1, back, planned.killed),
    note: `after SIGTERM; it listened again after ${((planned.listening - planned.killed) / 1000).toFixed(2)} s; each device has a slot of its own, ${RETURN_SLOT_MS} ms apart`,
  });
  for (const each of rowsOfConnects("planned restart", askedThen)) row(each);

  log(`linking them over a line of ${ROUND_TRIP_MS} ms`);
  await fleet.standDown();
  await fleet.lengthen(ROUND_TRIP_MS);
  await fleet.bringUp();
  const beforeSlow = await fleet.report();
  log("kill -9 of the directory");
  const slow = await endDirectory(stack, "SIGKILL");
  const wholeSlow = await watched(fleet, fleet.whole(slow.killed), log);
  row({
    ...{ ...others, name: `herd of ${devices} at ${ROUND_TRIP_MS} ms, all linked again`, unit: "s" },
    ours: secondsUntil(1, wholeSlow, slow.listening),
    note: `${wholeSlow.losses - beforeSlow.losses} links lost and attempts failed; the line is made on the same cores`,
  });
}

/** Sessions that were asked for while devices came back. */
function rowsOfConnects(what: string, answer: CallersAnswer): Row[] {
  const { times } = answer;
  const others = { unit: "ms", better: "lower", peers: [] } as const;
  const of = (share: number): number => (times.length === 0 ? Number.NaN : percentile(times, share));
  const note = `${times.length} of those asked for at ${CONNECTS_PER_SECOND} a second from when the directory listened again; ${failuresOf(answer)} (E_OFFLINE: of a device that was not back)`;
  return [
    { ...others, name: `${what}, connects meanwhile, p50`, ours: of(0.5) },
    { ...others, name: `${what}, connects meanwhile, p99`, ours: of(0.99), target: { value: 2_000 }, note },
  ];
}

/** Ends the directory and starts it again; when it was told to end and when it listened again, ms since 1970. */
async function endDirectory(
  stack: Stack,
  how: "SIGKILL" | "SIGTERM",
): Promise<{ readonly killed: number; readonly listening: number }> {
  const killed = Date.now();
  await stack.directory.kill(how);
  await stack.startDirectory();
  return { killed, listening: Date.now() };
}

/** How long after `since` (ms since 1970) a share of the devices was linked. */
function secondsUntil(share: number, { linkedAt }: Required<FleetAnswer>, since: number): number {
  const times = linkedAt.map((at) => (at - since) / 1000).sort((a, b) => a - b);
  return times[Math.ceil(share * times.length) - 1] ?? Number.NaN;
}

/** Says now and then how many are back, until `whole` is settled. */
async function watched<T>(fleet: Fleet, whole: Promise<T>, log: (line: string) => void): Promise<T> {
  const stop = new AbortController();
  const { signal } = stop;
  const watching = (async () => {
    for await (const _ of setInterval(PROGRESS_MS, undefined, { signal })) {
      const { linked, devices } = await fleet.report();
      log(`${linked} of ${devices} are back`);
    }
  })();
  try {
    return await whole;
  } finally {
    stop.abort();
    await watching.catch(() => {});
  }
}

/** `sshnp ... cat`: lines go in and come back, one after the other. */
class LiveSession implements AsyncDisposable {
  readonly #ssh: RunningProcess;
  readonly #stop = new AbortController();
  readonly #echoes: Promise<void>;
  #slowest = 0;

  /** Resolves when it answers. */
  static async start(stack: Stack, signal: AbortSignal): Promise<LiveSession> {
    const ssh = stack.startSsh("cat");
    ssh.stdin.write("0\n");
    await ssh.line(/^0$/, { signal });
    return new LiveSession(ssh, signal);
  }

  private constructor(ssh: RunningProcess, signal: AbortSignal) {
    this.#ssh = ssh;
    this.#echoes = this.#run(signal);
    this.#echoes.catch(() => {}); // end() tells
  }

  /** Ends it, and tells the longest that a line took to come back, in ms. @throws when a line did not come back. */
  async end(): Promise<number> {
    this.#stop.abort();
    await this.#echoes;
    this.#ssh.stdin.end();
    await this.#ssh.exit();
    return this.#slowest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ssh.stop();
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (let number = 1; !this.#stop.signal.aborted; number++) {
      const start = performance.now();
      this.#ssh.stdin.write(`${number}\n`);
      await this.#ssh.line(new RegExp(`^${number}$`), { signal });
      this.#slowest = Math.max(this.#slowest, performance.now() - start);
      await delay(ECHO_MS, undefined, { signal: this.#stop.signal }).catch(() => {});
    }
  }
}

/** Asks a directory whether it is well, again and again, until it is told to stop. */
class HealthWatch {
  readonly #stop = new AbortController();
  readonly #asking: Promise<void>;
  #slowest = 0;

  constructor(address: string) {
    this.#asking = this.#run(new URL("/healthz", address));
    this.#asking.catch(() => {}); // end() tells
  }

  /** The longest that an answer took, in ms. @throws when there was none. */
  async end(): Promise<number> {
    this.#stop.abort();
    await this.#asking;
    return this.#slowest;
  }

  async #run(url: URL): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const start = performance.now();
      await answerOf(url);
      this.#slowest = Math.max(this.#slowest, performance.now() - start);
      await delay(HEALTH_MS, undefined, { signal: this.#stop.signal }).catch(() => {});
    }
  }
}

async function answerOf(url: URL): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const request = get(url, { agent: false, timeout: 60_000 }, (response) => {
      response.resume().on("end", () => (response.statusCode === 200 ? resolve() : reject(new Error("not well"))));
    });
    request.on("error", reject).on("timeout", () => request.destroy(new Error("no answer for a minute")));
  });
}
