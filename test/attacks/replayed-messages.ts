import { request } from "node:http";
import type { RunningProcess } from "../support/processes.ts";
import { startTcpTap } from "../support/tcp-tap.ts";
import type { Attack } from "./attack.ts";
import { honestConnect } from "./honest-client.ts";
import type { Target } from "./target.ts";
import { pace } from "./traffic.ts";

const PER_SECOND = 20;

/** What clients said to the directory before its restart: bodies of POSTs as they were on the network. */
const recordings = new WeakMap<Target, readonly Buffer[]>();

/** Requests of honest clients, recorded on the network and sent again after the directory was killed and started. */
export const replayedMessages: Attack = {
  name: "replayed-messages",
  from: "between",
  surface: "directory and device: sealed messages that were seen before, also before a restart",
  async prepare(target, signal) {
    await using tap = await startTcpTap(() => target.directoryPort);
    const throughTap = target.stack.address.replace(/:\d+#/, `:${tap.port}#`);
    for (let i = 0; i < 4; i++) await honestConnect(target.stack, throughTap);
    const bodies = bodiesIn(tap.recorded);
    if (bodies.length < 4) throw new Error("nothing was recorded");
    recordings.set(target, bodies);
    await target.restartDirectory();
    // At once: a minute later they would be refused as old, which needs no memory.
    const replayed = target.stack.directory.errorLine(/"msg":"message replayed"/);
    for (const body of bodies) await post(target.directoryPort, body, signal);
    await replayed;
  },
  async run(target, signal) {
    const bodies = recordings.get(target) ?? [];
    const { daemon, directory } = target.stack;
    const open = new Set<Promise<unknown>>();
    const statuses = new Map<number, number>();
    const grantedBefore = granted(daemon).size;
    await pace(PER_SECOND, signal, (n) => {
      const sending = post(target.directoryPort, bodies[n % bodies.length] ?? Buffer.alloc(0), signal)
        .then((status) => statuses.set(status, (statuses.get(status) ?? 0) + 1))
        .catch(() => {}) // cut off with the attack
        .finally(() => open.delete(sending));
      open.add(sending);
    });
    await Promise.all(open);
    const repeated = [...granted(daemon).values()].filter((times) => times > 1).length;
    if (repeated > 0) throw new Error(`${repeated} sessions were granted twice`);
    const refused = directory.stderr.split('"msg":"message replayed"').length - 1;
    if (granted(daemon).size < grantedBefore) throw new Error("the daemon's log is gone");
    return `${refused} messages were refused as replayed`;
  },
};

/** How often each session was granted, by the daemon's log. */
function granted(daemon: RunningProcess): Map<string, number> {
  const times = new Map<string, number>();
  for (const [, sid = ""] of daemon.stderr.matchAll(/"sid":"([0-9a-f]{32})"[^\n]*"msg":"request granted"/g)) {
    times.set(sid, (times.get(sid) ?? 0) + 1);
  }
  return times;
}

/** The bodies of all POSTs in what was recorded of HTTP connections. */
function bodiesIn(recorded: Buffer): Buffer[] {
  const bodies: Buffer[] = [];
  const text = recorded.toString("latin1");
  for (const head of text.matchAll(/POST \/v1\/messages HTTP\/1\.1\r\n(?:[^\r\n]+\r\n)*\r\n/g)) {
    const length = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(head[0])?.[1]);
    const at = head.index + head[0].length;
    bodies.push(recorded.subarray(at, at + length));
  }
  return bodies;
}

function post(port: number, body: Buffer, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ port, host: "127.0.0.1", path: "/v1/messages", method: "POST", agent: false, signal }, (response) => {
      response.on("error", reject).on("end", () => resolve(response.statusCode ?? 0));
      response.resume();
    })
      .on("error", reject)
      .end(body);
  });
}
