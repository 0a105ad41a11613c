import { once } from "node:events";
import { createServer } from "node:net";
import { userInfo } from "node:os";
import { shellWord } from "../../keys/shell-word.ts";
import { freePort } from "../support/free-port.ts";
import { memoryOf } from "../support/memory.ts";
import { commandFile, runProcess, startProcess } from "../support/processes.ts";
import type { Bench } from "./bench.ts";
import { startPivot } from "./pivot.ts";
import { descendantsOf } from "./proc.ts";
import { median } from "./table.ts";

const TIMES = 15;
/** Of our start-up, beside what Node takes by itself. */
const START_UP_MS = 60;

/** What a person waits for who types one command, and what the idle programs hold meanwhile. */
export async function startUp(bench: Bench): Promise<void> {
  const stack = await bench.stack();
  const login = `${bench.user?.name ?? userInfo().username}@127.0.0.1`;
  await using pivot = await startPivot(bench, stack.sshd.port);
  const ssh = stack.sshd.sshOptions;
  await memoryWhenIdle(bench, pivot.pids);

  const env = { HOME: bench.folder };
  const node = (): Promise<unknown> => runProcess(process.execPath, ["-e", "0"], { env });
  const through = ["ssh", ...pivot.words, "-W", `127.0.0.1:${pivot.remotePort}`].map(shellWord).join(" ");
  const commands = {
    sshnp: () => stack.ssh("true"),
    pivot: () => runProcess("ssh", ["-o", `ProxyCommand ${through}`, ...ssh, login, "true"], { env }),
    tunnel: () => runProcess("ssh", ["-o", `Port ${pivot.remotePort}`, ...alias(ssh), login, "true"], { env }),
    direct: () => runProcess("ssh", [...ssh, login, "true"], { env }),
  };
  const times = { node: [], packet: [], sshnp: [], pivot: [], tunnel: [], direct: [] } as Record<string, number[]>;
  for (let i = 0; i <= TIMES; i++) {
    const taken: Record<string, number> = { node: await time(node), packet: await timeFirstPacket(bench) };
    for (const [name, run] of Object.entries(commands)) {
      taken[name] = await time(async () => {
        const { code, stderr } = await run();
        if (code !== 0) throw new Error(`${name}: ${stderr}`);
      });
    }
    if (i > 0) for (const [name, elapsed] of Object.entries(taken)) times[name]?.push(elapsed); // the first is for the caches
  }
  const of = (name: string): number => median(times[name] ?? []);
  bench.row({
    ...{ name: "sshnp, from start to first packet", unit: "ms", better: "lower", ours: of("packet") },
    ...{ peers: [{ name: "node -e 0, whole", value: of("node") }], target: { value: of("node") + START_UP_MS } },
  });
  bench.row({
    ...{ name: "sshnp @client @device mygateway true", unit: "ms", better: "lower", ours: of("sshnp") },
    peers: [
      { name: "the same ssh through a pivot", value: of("pivot") },
      { name: "the same ssh over ssh -R alone", value: of("tunnel") },
      { name: "the same ssh without anything", value: of("direct") },
    ],
  });
}

async function memoryWhenIdle(bench: Bench, pids: { readonly server: number; readonly device: number }): Promise<void> {
  const stack = await bench.stack();
  const now = (pid: number): number => memoryOf(pid).now / 1e6;
  const sshd = descendantsOf(pids.server).reduce((sum, pid) => sum + now(pid), 0);
  for (const [name, pid, peers, target] of [
    ["sshnpd", stack.daemon.pid, [{ name: "ssh -R", value: now(pids.device) }], { value: 60 }],
    [
      "sshnp-directory",
      stack.directory.pid,
      [{ name: "sshd with one tunnel", value: now(pids.server) + sshd }],
      undefined,
    ],
    ["sshnp-rendezvous", stack.rendezvous.pid, [], undefined],
  ] as const) {
    bench.row({
      ...{ name: `memory of ${name}, idle`, unit: "MB RSS", better: "lower", ours: now(pid), peers },
      ...(target === undefined ? {} : { target }),
    });
  }
}

/** Host keys are known under the port that the server itself has. */
function alias(options: readonly string[]): string[] {
  const port = options.find((option) => option.startsWith("Port "))?.slice(5);
  return ["-o", `HostKeyAlias [127.0.0.1]:${port}`, ...options];
}

async function time(action: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await action();
  return performance.now() - begin;
}

/** Until sshnp connects to its directory, whose place a socket takes that only listens. */
async function timeFirstPacket(bench: Bench): Promise<number> {
  const stack = await bench.stack();
  const port = await freePort();
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  const url = new URL(stack.address);
  url.port = String(port);
  const words = [commandFile("sshnp"), "--directory", url.href.replace("/#", "#"), ...stack.words("true")];
  const begin = performance.now();
  const running = startProcess(process.execPath, words, stack.client.options);
  await once(server, "connection", { signal: bench.signal });
  const elapsed = performance.now() - begin;
  await running.stop();
  server.close();
  return elapsed;
}
