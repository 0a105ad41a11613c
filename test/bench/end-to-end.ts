import { freePort } from "../support/free-port.ts";
import { memoryOf } from "../support/memory.ts";
import { commandFile, type RunningProcess, startProcess } from "../support/processes.ts";
import type { Bench } from "./bench.ts";
import { startPivot } from "./pivot.ts";
import { descendantsOf } from "./proc.ts";
import { measureRate, type Rate, startEnd, type Task } from "./rate.ts";
import { median } from "./table.ts";

const ROUNDS = 3;

/** A way from a client's end to a device's end. */
interface Way {
  readonly name: string;
  /** The processes in between, for their CPU time. */
  pids(client: RunningProcess): readonly number[];
  device(task: Task): Promise<RunningProcess>;
  client(task: Task): RunningProcess;
}

/** One stream from end to end, encrypted, beside the ways that people have today. */
export async function endToEnd(bench: Bench): Promise<void> {
  const stack = await bench.stack();
  const [doorPort, devicePort] = [await freePort(), await freePort()];
  await using pivot = await startPivot(bench, devicePort);
  const plain = (task: Task): Promise<RunningProcess> => startDevice(bench, task, "listen", String(devicePort));
  const tunnel = (name: string, port: number, pids: readonly number[]): Way => ({
    name,
    pids: () => pids.flatMap((pid) => [pid, ...descendantsOf(pid)]),
    device: plain,
    client: (task) => startEnd(bench.folder, task, "connect", String(port), ""),
  });
  let ours: { client: number; peak: number } | undefined;
  const sshnp: Way = {
    name: "sshnp",
    pids: (client) => [stack.rendezvous.pid, stack.daemon.pid, ...descendantsOf(client.pid)],
    async device(task) {
      const door = await startDevice(bench, task, "behind", String(doorPort), String(stack.sshd.port));
      await stack.daemon.stop();
      await stack.startDaemon("--ssh-port", String(doorPort));
      return door;
    },
    client: (task) => {
      const words = ["proxy", "--client", "@client", "mygateway.device.np:22"];
      return startEnd(stack.client.home, task, "run", process.execPath, commandFile("sshnp"), ...words);
    },
  };
  await using chiselTunnel = await startChisel(bench, devicePort);
  const { server, device, client } = pivot.pids;
  const ways = [
    sshnp,
    tunnel("ssh -L + ssh -R, aes128-gcm", pivot.localPort, [server, device, client]),
    tunnel("ssh -R alone, aes128-gcm", pivot.remotePort, [server, device]),
    ...(chiselTunnel === undefined ? [] : [tunnel("chisel", chiselTunnel.port, chiselTunnel.pids)]),
  ];
  try {
    for (const [direction, clientTask] of [
      ["device to client", "receive"],
      ["client to device", "send"],
    ] as const) {
      const results = ways.map((): Rate[] => []);
      for (let round = 0; round < ROUNDS; round++) {
        for (const [index, way] of ways.entries()) {
          results[index]?.push(await measure(way, clientTask, bench, (peaks) => (ours = peaks)));
        }
      }
      const named = (pick: (rate: Rate) => number): { name: string; value: number | undefined }[] =>
        ["ssh -L + ssh -R, aes128-gcm", "ssh -R alone, aes128-gcm", "chisel"].map((name) => {
          const values = results[ways.findIndex((way) => way.name === name)]?.map(pick) ?? [];
          return { name, value: values.length === 0 ? undefined : median(values) };
        });
      const [own = []] = results;
      const bits = ({ gigabitsPerSecond }: Rate): number => gigabitsPerSecond;
      const cpu = ({ cpuSecondsPerGib }: Rate): number => cpuSecondsPerGib;
      bench.row({
        ...{ name: `end to end, ${direction}`, unit: "Gbit/s", better: "higher" },
        ...{ ours: median(own.map(bits)), peers: named(bits), target: { timesPeer: 1 } },
      });
      bench.row({
        ...{ name: `end to end, ${direction}, CPU of all between`, unit: "s/GiB", better: "lower" },
        ...{ ours: median(own.map(cpu)), peers: named(cpu) },
      });
    }
    const peak = (pid: number): number => memoryOf(pid).peak / 1e6;
    const tunnelServer = Math.max(...[server, ...descendantsOf(server)].map(peak));
    for (const [name, value, peer] of [
      ["sshnp proxy", (ours?.peak ?? 0) / 1e6, ["ssh -L", peak(client)]],
      ["sshnpd", peak(stack.daemon.pid), ["ssh -R", peak(device)]],
      ["sshnp-rendezvous", peak(stack.rendezvous.pid), ["sshd", tunnelServer]],
      ["sshnp-directory", peak(stack.directory.pid), undefined],
    ] as const) {
      bench.row({
        ...{ name: `most memory of ${name}, under that load`, unit: "MB RSS", better: "lower", ours: value },
        peers: peer === undefined ? [] : [{ name: peer[0], value: peer[1] }],
        target: { value: 150 },
      });
    }
  } finally {
    await stack.daemon.stop();
    await stack.startDaemon();
  }
}

async function measure(
  way: Way,
  clientTask: Task,
  bench: Bench,
  onOurs: (peaks: { client: number; peak: number }) => void,
): Promise<Rate> {
  await using device = await way.device(clientTask === "send" ? "receive" : "send");
  await using client = way.client(clientTask);
  await client.line(/^joined$/);
  const rate = await measureRate(clientTask === "send" ? device : client, () => way.pids(client), bench);
  const [own] = descendantsOf(client.pid);
  if (own !== undefined) onOurs({ client: own, peak: memoryOf(own).peak });
  return rate;
}

async function startDevice(bench: Bench, task: Task, ...words: string[]): Promise<RunningProcess> {
  const device = startEnd(bench.folder, task, ...words);
  await device.line(/^\d+$/);
  return device;
}

interface Chisel extends AsyncDisposable {
  readonly port: number;
  readonly pids: readonly number[];
}

async function startChisel(bench: Bench, devicePort: number): Promise<Chisel | undefined> {
  if (!bench.has("chisel")) return undefined;
  const [serverPort, port] = [await freePort(), await freePort()];
  const options = { env: { HOME: bench.folder } };
  const server = startProcess("chisel", ["server", "--host", "127.0.0.1", "-p", `${serverPort}`, "--reverse"], options);
  await bench.listens(serverPort);
  const remote = `R:127.0.0.1:${port}:127.0.0.1:${devicePort}`;
  const client = startProcess("chisel", ["client", `http://127.0.0.1:${serverPort}`, remote], options);
  await bench.listens(port);
  return {
    ...{ port, pids: [server.pid, client.pid] },
    async [Symbol.asyncDispose]() {
      await Promise.all([client.stop(), server.stop()]);
    },
  };
}
