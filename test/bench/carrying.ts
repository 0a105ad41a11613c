import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import type { Role } from "../../keys/names.ts";
import { readDirectoryKeys, readRendezvousKeys } from "../../keys/service-key-files.ts";
import { encodeLegHello } from "../../protocol/leg-hello.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { signTicket } from "../../protocol/ticket.ts";
import { freePort } from "../support/free-port.ts";
import { memoryOf } from "../support/memory.ts";
import { type RunningProcess, startProcess } from "../support/processes.ts";
import type { Stack } from "../support/stack.ts";
import type { Bench } from "./bench.ts";
import { descendantsOf } from "./proc.ts";
import { measureRate, type Rate, startEnd, type Task } from "./rate.ts";
import { median, type Row } from "./table.ts";

const ROUNDS = 3;

/** What stands in the middle between a sender and a receiver. */
interface Middle {
  readonly name: string;
  readonly pid: number;
  /** Starts the two ends of so many sessions; resolves when bytes flow. */
  ends(sessions: number): Promise<{ readonly sender: RunningProcess; readonly receiver: RunningProcess }>;
}

/** The rendezvous alone, with ends that only send and receive, beside two programs that join TCP connections as well. */
export async function carrying(bench: Bench): Promise<void> {
  const stack = await bench.stack();
  const middles = [await ourRendezvous(bench, stack), await haproxy(bench), await socat(bench)];
  for (const sessions of [1, 10]) {
    const results = middles.map((): Rate[] => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [index, middle] of middles.entries()) {
        if (middle !== undefined) results[index]?.push(await measure(middle, sessions, bench));
      }
    }
    for (const row of rows(sessions, results)) bench.row(row);
  }
  bench.row({
    name: "rendezvous, memory after that",
    unit: "MB RSS",
    better: "lower",
    ours: memoryOf(stack.rendezvous.pid).now / 1e6,
    peers: middles.slice(1, 2).map((middle) => ({
      name: "HAProxy",
      value: middle === undefined ? undefined : memoryOf(middle.pid).now / 1e6,
    })),
    target: { value: 150 },
  });
}

function rows(sessions: number, [ours = [], ...peers]: readonly Rate[][]): Row[] {
  const what = sessions === 1 ? "rendezvous, 1 session" : `rendezvous, ${sessions} sessions`;
  const named = (pick: (rate: Rate) => number): Row["peers"] =>
    ["HAProxy (TCP, splice)", "socat"].map((name, index) => {
      const values = peers[index]?.map(pick) ?? [];
      return { name, value: values.length === 0 ? undefined : median(values) };
    });
  const bits = (rate: Rate): number => rate.gigabitsPerSecond;
  const cpu = (rate: Rate): number => rate.cpuSecondsPerGib;
  return [
    {
      ...{ name: what, unit: "Gbit/s", better: "higher", ours: median(ours.map(bits)), peers: named(bits) },
      ...(sessions === 1 ? { target: { timesPeer: 0.9 } } : {}),
    },
    {
      ...{ name: `${what}, CPU`, unit: "s/GiB", better: "lower", ours: median(ours.map(cpu)), peers: named(cpu) },
      target: { value: 1.8 },
    },
  ];
}

async function measure(middle: Middle, sessions: number, bench: Bench): Promise<Rate> {
  const { sender, receiver } = await middle.ends(sessions);
  try {
    return await measureRate(receiver, () => [middle.pid, ...descendantsOf(middle.pid)], bench);
  } finally {
    await Promise.all([sender.stop(), receiver.stop()]);
  }
}

async function ourRendezvous(bench: Bench, stack: Stack): Promise<Middle> {
  const port = stack.rendezvousPort;
  const hello = await helloMaker(stack, port);
  return {
    name: "sshnp-rendezvous",
    pid: stack.rendezvous.pid,
    async ends(sessions) {
      const hellos = Array.from({ length: sessions }, hello);
      const start = (task: Task, role: Role): RunningProcess => {
        const said = hellos.map((make) => Buffer.from(make(role)).toString("hex"));
        return startEnd(bench.folder, task, "connect", String(port), ...said);
      };
      const [sender, receiver] = [start("send", "client"), start("receive", "device")];
      await Promise.all([sender.line(/^joined$/), receiver.line(/^joined$/)]);
      return { sender, receiver };
    },
  };
}

/**
 * Makes hellos of new sessions. The tickets are signed with the directory's own key, which lies in the data folder of the
 * stack: no session is negotiated here, only rate.
 */
async function helloMaker(stack: Stack, port: number): Promise<() => (role: Role) => Uint8Array> {
  const open = async (name: string): Promise<PrivateFolder> => {
    const folder = await PrivateFolder.open(join(stack.server.home, name));
    if (folder === undefined) throw new Error(`${name} has no data folder`);
    return folder;
  };
  const directory = await readDirectoryKeys(suite, await open("directory"));
  const rendezvous = await readRendezvousKeys(suite, await open("rendezvous"));
  const ticketKey = directory?.ticket[0]?.ed25519;
  if (ticketKey === undefined || rendezvous === undefined) throw new Error("a service has no keys");
  const key = rendezvous.ed25519.publicKey;
  const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
  const session = (boot: Uint8Array): ((role: Role) => Uint8Array) => {
    const [sid, legKey, issued] = [random(16), Ed25519PrivateKey.generate(suite, random), Date.now()];
    const entries = [{ key, boot, addresses: [`tcp://127.0.0.1:${port}`] }];
    const times = { issued, expires: issued + 600_000 };
    const ticket = signTicket(suite, ticketKey, { sid, legKey: legKey.publicKey, entries, ...times });
    return (role) => encodeLegHello(suite, legKey, ticket, { rendezvous: key, boot, sid, role, dial: 1 });
  };
  const boot = await askForBoot(port, session(random(16))("client"));
  return () => session(boot);
}

/** A hello for another start of a rendezvous is answered with BOOT and the 16 bytes of this one. */
async function askForBoot(port: number, hello: Uint8Array): Promise<Uint8Array> {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.write(hello);
  const answer: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => answer.push(chunk));
  await once(socket, "end");
  socket.destroy();
  const bytes = Buffer.concat(answer);
  if (bytes.length !== 17) throw new Error(`the rendezvous answers ${bytes.toString("hex")}`);
  return bytes.subarray(1);
}

/** A program that listens on a port and forwards to another one, where the receiver is started for each measurement. */
async function forwarder(
  bench: Bench,
  name: string,
  start: (from: number, to: number) => Promise<RunningProcess>,
): Promise<Middle> {
  const [from, to] = [await freePort(), await freePort()];
  const running = await start(from, to);
  return {
    name,
    pid: running.pid,
    async ends(sessions) {
      const receiver = startEnd(bench.folder, "receive", "listen", String(to));
      await receiver.line(/^\d+$/);
      const sender = startEnd(
        bench.folder,
        "send",
        "connect",
        String(from),
        ...Array.from({ length: sessions }, () => ""),
      );
      await sender.line(/^joined$/);
      return { sender, receiver };
    },
  };
}

async function haproxy(bench: Bench): Promise<Middle | undefined> {
  if (!bench.has("haproxy")) return undefined;
  return await forwarder(bench, "HAProxy", async (from, to) => {
    const file = join(bench.folder, "haproxy.cfg");
    const lines = [
      "global",
      "  nbthread 1",
      "defaults",
      "  mode tcp",
      "  timeout connect 5s",
      "  timeout client 1m",
      "  timeout server 1m",
      "listen carried",
      `  bind 127.0.0.1:${from}`,
      "  option splice-auto",
      "  option splice-request",
      "  option splice-response",
      `  server receiver 127.0.0.1:${to}`,
    ];
    await writeFile(file, `${lines.join("\n")}\n`);
    const running = startProcess("haproxy", ["-db", "-f", file], { env: { HOME: bench.folder } });
    await bench.listens(from);
    return running;
  });
}

async function socat(bench: Bench): Promise<Middle | undefined> {
  if (!bench.has("socat")) return undefined;
  return await forwarder(bench, "socat", async (from, to) => {
    const words = ["-b", "65536", `TCP-LISTEN:${from},bind=127.0.0.1,fork,reuseaddr`, `TCP:127.0.0.1:${to}`];
    const running = startProcess("socat", words, { env: { HOME: bench.folder } });
    await bench.listens(from);
    return running;
  });
}
