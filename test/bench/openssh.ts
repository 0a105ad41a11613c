import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { commandFile, runProcess, startProcess } from "../support/processes.ts";
import type { Stack } from "../support/stack.ts";
import type { Bench } from "./bench.ts";
import { type Pivot, startPivot } from "./pivot.ts";
import { median } from "./table.ts";

const TIMES = 15;
/** Of our start-up, beside what Node takes by itself. */
const START_UP_MS = 60;

/** What ssh waits for when sshnp is its ProxyCommand, as `sshnp ssh-config --install` makes it. */
export async function openssh(bench: Bench): Promise<void> {
  const stack = await bench.stack();
  await using pivot = await startPivot(bench, stack.sshd.port);
  const env = { HOME: bench.folder };
  const [own, shared] = [
    await installConfiguration(bench, stack, "no"),
    await installConfiguration(bench, stack, "yes"),
  ];
  const hop = await writeHop(bench, stack, pivot);
  const sharing = ["-o", "ControlMaster=auto", "-o", `ControlPath=${bench.folder}/hop-%C`, "-o", "ControlPersist=60s"];
  const ways: Record<string, () => Promise<unknown>> = {
    packet: () => untilFirstPacket(bench, stack),
    node: () => runProcess(process.execPath, ["-e", "0"], { env }),
    own: () => ssh(bench, own, "mygateway.device.np"),
    hop: () => ssh(bench, hop, "-J", "pivot", "gateway"),
    shared: () => ssh(bench, shared, "mygateway.device.np"),
    "shared hop": () => ssh(bench, hop, ...sharing, "-J", "pivot", "gateway"),
  };
  const times: Record<string, number[]> = {};
  try {
    for (let i = 0; i <= TIMES; i++) {
      for (const [name, run] of Object.entries(ways)) {
        const begin = performance.now();
        await run();
        if (i > 0) (times[name] ??= []).push(performance.now() - begin); // the first is for the caches, and opens what is shared
      }
    }
  } finally {
    for (const words of [
      [shared, "mygateway.device.np"],
      [hop, ...sharing.slice(2, 4), "gateway"],
    ]) {
      await runProcess("ssh", ["-F", words[0] ?? "", "-O", "exit", ...words.slice(1)], { env });
    }
  }
  const of = (name: string): number => median(times[name] ?? []);
  const row = { unit: "ms", better: "lower" } as const;
  bench.row({
    ...{ ...row, name: "sshnp proxy, from start to first packet", ours: of("packet") },
    ...{ peers: [{ name: "node -e 0, whole", value: of("node") }], target: { value: of("node") + START_UP_MS } },
  });
  const peer = "ssh -J pivot, device on ssh -R";
  bench.row({
    ...row,
    name: "ssh mygateway.device.np true",
    ours: of("own"),
    peers: [{ name: peer, value: of("hop") }],
  });
  bench.row({
    ...{ ...row, name: "the same by a connection that stands", ours: of("shared") },
    peers: [{ name: `${peer}, by one that stands`, value: of("shared hop") }],
  });
}

/** What a person has after `sshnp ssh-config --install`; returns the file. */
async function installConfiguration(bench: Bench, stack: Stack, controlMaster: "yes" | "no"): Promise<string> {
  const folder = join(bench.folder, `c-${controlMaster}`);
  await mkdir(folder, { mode: 0o700 });
  const file = join(folder, "config");
  await writeFile(file, `Host *\n  User ${login(bench)}\n${identity(stack.sshd.identityFile)}`, { mode: 0o600 });
  await stack.client.must("sshnp", "ssh-config", "--install", "--file", file, "--control-master", controlMaster);
  return file;
}

/** The same for somebody who hops over a pivot to a device that holds a tunnel to it. */
async function writeHop(bench: Bench, stack: Stack, pivot: Pivot): Promise<string> {
  const file = join(bench.folder, "hop");
  const settings = (options: readonly string[]): string =>
    `${options.filter((word) => word.includes(" ")).join("\n")}\n`;
  await writeFile(
    file,
    `Host pivot\nUser ${login(bench)}\n${settings(pivot.server.sshOptions)}` +
      `Host gateway\nUser ${login(bench)}\nPort ${pivot.remotePort}\nHostKeyAlias [127.0.0.1]:${stack.sshd.port}\n${settings(stack.sshd.sshOptions)}`,
    { mode: 0o600 },
  );
  return file;
}

function identity(file: string): string {
  return `  IdentityFile ${file}\n  IdentitiesOnly yes\n  IdentityAgent none\n  BatchMode yes\n`;
}

function login({ user }: Bench): string {
  return user?.name ?? userInfo().username;
}

async function ssh(bench: Bench, configuration: string, ...words: string[]): Promise<void> {
  const exit = await runProcess("ssh", ["-F", configuration, ...words, "true"], { env: { HOME: bench.folder } });
  if (exit.code !== 0) throw new Error(`ssh ${words.join(" ")}: ${exit.stderr}`);
}

/** Until the proxy connects to its directory, whose place a socket takes that only listens. */
async function untilFirstPacket(bench: Bench, stack: Stack): Promise<void> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const directory = stack.address.replace(/:\d+#/, `:${address.port}#`);
  const words = [commandFile("sshnp"), "proxy", "--directory", directory, "mygateway.device.np:22"];
  const running = startProcess(process.execPath, words, stack.client.options);
  await once(server, "connection", { signal: bench.signal });
  await running.stop();
  server.close();
}
