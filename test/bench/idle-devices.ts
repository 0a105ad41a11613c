import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { preloading } from "../support/preload.ts";
import { type RunningProcess, startProcess } from "../support/processes.ts";
import { startSshServer } from "../support/sshd.ts";
import { Machine } from "../support/stack.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { dataOf, startDirectory, type StartOptions } from "./directory.ts";
import { Fleet, processesFor } from "./fleet.ts";
import { descendantsOf, kernelBytesPerSocket, residentOf, settledRss, settlingSeconds } from "./proc.ts";
import type { Bench } from "./bench.ts";
import type { Row } from "./table.ts";

interface Memory {
  readonly rss: number;
  readonly heap: number;
  readonly external: number;
}

const TUNNELS = 20;

/**
 * What an idle device costs the directory, beside what an idle `ssh -R` costs its sshd: first as users run it, then once
 * more to see where it is, with a garbage collection ahead.
 */
export async function idleDevices({ signal, seconds, devices, log, row }: Bench): Promise<void> {
  await using folder = await temporaryFolder();
  const [server, owner] = [new Machine(join(folder.path, "server")), new Machine(join(folder.path, "owner"))];
  for (const { home } of [server, owner]) await mkdir(home, { mode: 0o700 });

  log(`enrolling ${devices} devices`);
  const first = await startDirectory(server);
  const secret = await server.must("sshnp-directory", "name", "add", "@fleet", "--data", dataOf(server));
  const { address } = first;
  await using fleet = await Fleet.enrol({
    ...{ address, secret, devices, signal },
    machine: owner,
    processes: processesFor(devices),
  });
  await first.process.stop();

  const settling = settlingSeconds(seconds);
  log(`linking them, and waiting ${settling} s for the memory to settle`);
  const settle = async ({ pid }: RunningProcess): Promise<Memory> => {
    return { rss: await settledRss(pid, signal, settling), heap: Number.NaN, external: Number.NaN };
  };
  const asUsed = await linkedAndBefore(fleet, server, { address }, settle);
  log("once more, to see where it is");
  const split = await linkedAndBefore(
    fleet,
    server,
    { address, env: preloading(MEMORY_ON_SIGNAL) },
    async (process) => {
      await settledRss(process.pid, signal, settling);
      return await memoryAfterCollection(process, signal);
    },
  );
  log(`${TUNNELS} idle ssh -R`);
  const tunnel = await idleTunnel(signal);

  const perDevice = ({ before, after }: typeof split, of: keyof Memory): number =>
    (after[of] - before[of]) / devices / 1000;
  const kernel = kernelBytesPerSocket();
  const whole = `${Math.round(asUsed.before.rss / 1e6)} MB before, ${Math.round(asUsed.after.rss / 1e6)} MB with ${devices} links`;
  const others = { unit: "KB", better: "lower" } as const;
  const rows: Row[] = [
    {
      ...{ ...others, name: `directory, RSS for each of ${devices} idle devices`, ours: perDevice(asUsed, "rss") },
      peers: [{ name: "sshd, PSS for each idle ssh -R", value: tunnel.pss / 1000 }],
      target: { value: 10 },
      note: `${whole}; RSS of sshd's process for each idle ssh -R: ${Math.round(tunnel.rss / 1000)} KB`,
    },
    {
      ...{ ...others, name: "of it live JavaScript heap", ours: perDevice(split, "heap"), peers: [] },
      note: "after a garbage collection, in a run of its own",
    },
    {
      ...{ ...others, name: "of it live buffers outside the heap", ours: perDevice(split, "external"), peers: [] },
    },
    {
      ...{ ...others, name: "RSS after that collection", ours: perDevice(split, "rss"), peers: [] },
      note: "the rest is malloc's: handles and watchers of libuv, sockets of Node, OpenSSL",
    },
    ...(kernel === undefined
      ? []
      : [
          {
            ...{ ...others, name: "beside it, the kernel's socket", ours: kernel / 1000 },
            peers: [{ name: "the same for ssh", value: kernel / 1000 }],
            note: "objects of one idle TCP socket by /proc/slabinfo, its buffers being empty; in nobody's RSS",
          },
        ]),
  ];
  for (const each of rows) row(each);
}

/** The memory of a directory just started, and with the whole fleet linked to it. */
async function linkedAndBefore(
  fleet: Fleet,
  server: Machine,
  options: StartOptions,
  measure: (directory: RunningProcess) => Promise<Memory>,
): Promise<{ readonly before: Memory; readonly after: Memory }> {
  const { process } = await startDirectory(server, options);
  await using _directory = process;
  const before = await measure(process);
  await fleet.bringUp();
  const after = await measure(process);
  await fleet.standDown();
  return { before, after };
}

/** On SIGUSR2: collects garbage and prints a line `memory {...}`. */
const MEMORY_ON_SIGNAL = `import { setFlagsFromString } from "node:v8";
  import { runInNewContext } from "node:vm";
  let asked = 0;
  process.on("SIGUSR2", () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc");
    collect();
    collect();
    asked += 1;
    const { rss, heapUsed: heap, external } = process.memoryUsage();
    process.stdout.write("memory " + asked + " " + JSON.stringify({ rss, heap, external }) + "\\n");
  });`;

const asked = new WeakMap<RunningProcess, number>();

async function memoryAfterCollection(directory: RunningProcess, signal: AbortSignal): Promise<Memory> {
  const number = (asked.get(directory) ?? 0) + 1;
  asked.set(directory, number);
  process.kill(directory.pid, "SIGUSR2");
  const [, told = ""] = await directory.line(new RegExp(`^memory ${number} (.*)$`), { signal });
  return JSON.parse(told) as Memory;
}

/** What sshd has in memory for one idle `ssh -N -R`, in bytes. */
async function idleTunnel(signal: AbortSignal): Promise<{ readonly rss: number; readonly pss: number }> {
  await using sshd = await startSshServer();
  const words = ["-N", "-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:0:127.0.0.1:22", ...sshd.sshOptions, "sshd"];
  const tunnels = Array.from({ length: TUNNELS }, () =>
    startProcess("ssh", words, { env: { HOME: "/nonexistent" }, cwd: "/" }),
  );
  try {
    await Promise.all(tunnels.map((tunnel) => tunnel.errorLine(/Allocated port \d+/, { signal })));
    const held = descendantsOf(sshd.process.pid).map(residentOf);
    const sum = (of: "rss" | "pss"): number => held.reduce((total, one) => total + one[of], 0) / TUNNELS;
    return { rss: sum("rss"), pss: sum("pss") };
  } finally {
    await Promise.all(tunnels.map((tunnel) => tunnel.stop()));
  }
}
