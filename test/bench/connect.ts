import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "../../sshnp/connect.ts";
import { parseProxyLine } from "../../sshnp/proxy-line.ts";
import { Progress } from "../../sshnp/progress.ts";
import type { Destination } from "../../sshnp/command-line.ts";
import type { Stack } from "../support/stack.ts";
import type { Bench } from "./bench.ts";
import { startPivot } from "./pivot.ts";
import { percentile } from "./table.ts";

const ALONE = 200;
const AT_ONCE = 20;
const HERDS = 10;

/**
 * From the request to the device's first byte, the SSH server's banner, with all processes warm: what an open program such
 * as an Ansible connection plugin would wait. Here the client's own code runs in this process.
 */
export async function connecting(bench: Bench): Promise<void> {
  const stack = await bench.stack();
  await using pivot = await startPivot(bench, stack.sshd.port);
  const ours = (): Promise<number> => timeSession(stack, bench.signal);
  const tunnel = (): Promise<number> => timeBanner(pivot.remotePort);
  const bare = (): Promise<number> => timeBanner(stack.sshd.port);
  for (let i = 0; i < 20; i++) for (const way of [ours, tunnel, bare]) await way();
  for (const atOnce of [1, AT_ONCE]) {
    const times = [ours, tunnel, bare].map((): number[] => []);
    for (let round = 0; round < (atOnce === 1 ? ALONE : HERDS); round++) {
      for (const [index, way] of [ours, tunnel, bare].entries()) {
        times[index]?.push(...(await Promise.all(Array.from({ length: atOnce }, way))));
        await delay(5, undefined, { signal: bench.signal }); // sshd's children of the last one end
      }
    }
    const [own = [], through = [], direct = []] = times;
    for (const [what, share, target] of [
      ["p50", 0.5, 15],
      ["p99", 0.99, 40],
    ] as const) {
      bench.row({
        ...{ name: `connect, warm, ${atOnce === 1 ? "one" : atOnce} at once, ${what}`, unit: "ms", better: "lower" },
        ours: percentile(own, share),
        peers: [
          { name: "through ssh -R that stands already", value: percentile(through, share) },
          { name: "the device's sshd itself", value: percentile(direct, share) },
        ],
        ...(atOnce === 1 ? { target: { value: target } } : {}),
      });
    }
  }
}

/** The destination `@client @device mygateway` of a stack, or of one behind other addresses. */
export function destinationIn(stack: Stack, ...words: string[]): Destination {
  const parsed = parseProxyLine([
    "--client",
    "@client",
    "--keys",
    stack.client.keys,
    ...words,
    "mygateway.device.np:22",
  ]);
  if (typeof parsed === "string") throw new Error("a destination is no question");
  return parsed;
}

/** Milliseconds from the request to the first byte of the device's SSH server. */
export async function timeSession(stack: Stack, signal: AbortSignal, ...words: string[]): Promise<number> {
  const destination = destinationIn(stack, ...words);
  const progress = new Progress(false);
  const begin = performance.now();
  const session = await connect(destination, { keys: stack.client.keys, userKey: undefined, progress, signal });
  const stream = session.open("ssh", { only: true });
  await once(stream, "readable", { signal });
  const elapsed = performance.now() - begin;
  stream.destroy();
  await session.close();
  return elapsed;
}

async function timeBanner(port: number): Promise<number> {
  const begin = performance.now();
  const socket = connectTcp({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "data");
  const elapsed = performance.now() - begin;
  socket.destroy();
  return elapsed;
}
