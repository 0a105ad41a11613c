import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { SELF_SIGNED } from "../directory/certificate.ts";
import { startProcess } from "../support/processes.ts";
import { startSlowProxy } from "../support/slow-proxy.ts";
import { Stack } from "../support/stack.ts";
import type { Bench } from "./bench.ts";
import { timeSession } from "./connect.ts";
import { startPivot } from "./pivot.ts";
import { median, type Peer } from "./table.ts";

const ROUND_TRIP_MS = 100;
const TIMES = 7;
/** What the budgets grant beside the round trips. */
const EXTRA_MS = 60;

/** The ways in which both ends may reach the services, and how many round trips each may take to the first byte of SSH. */
const WAYS = [
  { name: "http, TCP leg", https: false, wss: false, roundTrips: 5 },
  { name: "https, TCP leg", https: true, wss: false, roundTrips: 6 },
  { name: "https, WebSocket leg over TLS", https: true, wss: true, roundTrips: 8 },
] as const;

/** Connects where every line to a service is long: each byte half a round trip, each TCP handshake a whole one. */
export async function longLine(bench: Bench): Promise<void> {
  const echo = await timeConnectAndEcho();
  bench.row({
    ...{ name: `${ROUND_TRIP_MS} ms line, self-check: connect and echo`, unit: "round trips", better: "lower" },
    ...{ ours: echo / ROUND_TRIP_MS, peers: [{ name: "what TCP takes", value: 2 }] },
  });
  const pivot = await connectThroughPivot(bench);
  for (const way of WAYS) {
    bench.log(`long line: ${way.name}`);
    const times = await connectOver(way, bench);
    const budget = way.roundTrips * ROUND_TRIP_MS + EXTRA_MS;
    bench.row({
      ...{ name: `${ROUND_TRIP_MS} ms line, connect by ${way.name}`, unit: "ms", better: "lower" },
      ...{ ours: median(times), peers: [pivot], target: { value: budget } },
      note: `${(median(times) / ROUND_TRIP_MS).toFixed(2)} round trips of ${way.roundTrips}; slowest of ${TIMES}: ${Math.max(...times).toFixed(0)} ms`,
    });
  }
}

async function connectOver(way: (typeof WAYS)[number], bench: Bench): Promise<number[]> {
  let directoryPort = (): number => 0;
  let rendezvousPort = (): number => 0;
  await using toDirectory = await startSlowProxy(() => directoryPort(), ROUND_TRIP_MS);
  const tls = way.wss ? { tls: SELF_SIGNED } : {};
  await using toRendezvous = await startSlowProxy(() => rendezvousPort(), ROUND_TRIP_MS, tls);
  const certificate = join(bench.folder, `tls-${way.roundTrips}`);
  await mkdir(certificate);
  for (const [name, text] of Object.entries(SELF_SIGNED)) await writeFile(join(certificate, name), text);
  const files = ["--tls-cert", join(certificate, "cert"), "--tls-key", join(certificate, "key")];
  await using stack = await Stack.start({
    sshd: bench.user === undefined ? {} : { user: bench.user },
    withoutTap: true,
    withoutDaemon: true,
    directory: way.https ? files : [],
    rendezvous: ["--public", way.wss ? `wss://127.0.0.1:${toRendezvous.port}` : `tcp://127.0.0.1:${toRendezvous.port}`],
  });
  directoryPort = () => Number(new URL(stack.address).port);
  rendezvousPort = () => stack.rendezvousPort;
  const url = new URL(stack.address);
  url.port = String(toDirectory.port);
  const slowly = ["--directory", url.href.replace("/#", "#")];
  await stack.startDaemon(...slowly);
  for (let i = 0; i < 3; i++) await timeSession(stack, bench.signal, ...slowly);
  const times: number[] = [];
  for (let i = 0; i < TIMES; i++) times.push(await timeSession(stack, bench.signal, ...slowly));
  return times;
}

/** The first byte of the device's SSH server through `ssh -W` to a pivot, to which the device holds its tunnel already. */
async function connectThroughPivot(bench: Bench): Promise<Peer> {
  const stack = await bench.stack();
  let port = 0;
  await using line = await startSlowProxy(() => port, ROUND_TRIP_MS);
  await using pivot = await startPivot(bench, stack.sshd.port, (own) => {
    port = own;
    return Promise.resolve(line.port);
  });
  const times: number[] = [];
  for (let i = 0; i < TIMES; i++) {
    const begin = performance.now();
    const to = `127.0.0.1:${pivot.remotePort}`;
    await using ssh = startProcess("ssh", ["-W", to, ...pivot.words], { env: { HOME: bench.folder } });
    await ssh.line(/^SSH-2\.0-/);
    times.push(performance.now() - begin);
  }
  return { name: "ssh -W to a pivot with ssh -R", value: median(times) };
}

async function timeConnectAndEcho(): Promise<number> {
  const server = createServer((socket) => void socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  await using proxy = await startSlowProxy(() => (server.address() as AddressInfo).port, ROUND_TRIP_MS);
  const begin = performance.now();
  const socket = connect({ port: proxy.port, host: "127.0.0.1", noDelay: true });
  socket.write("a");
  await once(socket, "data");
  const elapsed = performance.now() - begin;
  socket.destroy();
  server.close();
  if (elapsed < 2 * ROUND_TRIP_MS) throw new Error(`the line is too fast: ${elapsed} ms for two round trips`);
  return elapsed;
}
