import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Transform } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { memoryOf } from "../support/memory.ts";
import type { RunningProcess } from "../support/processes.ts";
import type { Attack } from "./attack.ts";
import { GROWTH_BYTES } from "./measure.ts";
import { descriptorsOf } from "./observe.ts";
import type { Target } from "./target.ts";
import { flood, takeTurns } from "./traffic.ts";

/** So many at a time, and for each from the end of one to the start of the next. */
const CLIENTS = 4;
const PAUSE_MS = 300;
/** For a client to give up, on a busy machine: the longest wait for an answer, and one try more. */
const GIVE_UP_MS = 150_000;
/** For the daemon to let go of what it has open when the attack is over. */
const RELEASE_MS = 20_000;
/** Between two looks at memory. */
const LOOK_MS = 100;
/** From a passed connection to what is said on it in the directory's place: by then a device is linked. */
const INJECTION_MS = 300;

/** What is done to a connection. `pass` carries it to the true directory, through `change` if there is one. */
type Answer = (near: Socket, pass: (change?: Transform) => void) => void;

const OK = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n";

/** To whatever is asked. */
const ANSWERS: Readonly<Record<string, Answer>> = {
  "nothing, closed": (near) => void near.end(),
  reset: (near) => void near.resetAndDestroy(),
  garbage: (near) => void near.end(randomBytes(64 * 1024)),
  silence: () => {},
  "a head without end": (near) => flood(near, Buffer.from(OK), Buffer.from(`x: ${"y".repeat(1000)}\r\n`)),
  "a head, byte by byte": (near) => drip(near, `${OK}content-length: 70000\r\n\r\n`),
  "a body without end": (near) => flood(near, Buffer.from(`${OK}\r\n`), Buffer.alloc(16 * 1024, 1)),
  "frames without end": (near) => flood(near, Buffer.from(`${OK}\r\n`), Buffer.alloc(16 * 1024)),
  "chunks without end": (near) =>
    flood(near, Buffer.from(`${OK}transfer-encoding: chunked\r\n\r\n`), Buffer.from("1\r\nx\r\n".repeat(2_000))),
  "a body that never comes": (near) => void near.write(`${OK}content-length: 1000000000000\r\n\r\n`),
  "an upgrade to nothing": (near) => void near.write("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
  "a flipped bit": (_near, pass) => pass(flipOneIn(100)),
  truncated: (_near, pass) => pass(cutAfter(250)),
};

/** On a device's link, with the true directory behind it. */
const INJECTIONS: Readonly<Record<string, Answer>> = {
  "a message above its limit": inject(Buffer.of(0x82, 127, 0, 0, 0, 0, 0x80, 0, 0, 0)),
  text: inject(Buffer.concat([Buffer.of(0x81, 4), Buffer.from("text")])),
  "garbage messages": inject(Buffer.concat([Buffer.of(0x82, 126, 0x10, 0), randomBytes(4096)])),
  "fragments without end": (near, pass) => {
    pass();
    afterwards(near, () => flood(near, Buffer.of(0x02, 1, 0), Buffer.alloc(9_999, Buffer.of(0x00, 1, 0))));
  },
  "pings without end": (near, pass) => {
    pass();
    afterwards(near, () => flood(near, Buffer.alloc(0), Buffer.alloc(10_000, Buffer.of(0x89, 0))));
  },
};

/**
 * In the place of the directory stands somebody without its keys: the network, or whoever answers at its address. A daemon and
 * clients of their own meet him; both must fail in order, within bounds, and the daemon must go on.
 */
export const hostileDirectory: Attack = {
  name: "hostile-directory",
  from: "between",
  surface: "both ends: what is answered in the directory's place, and said on a device's link",
  async run(target, signal) {
    await using place = await DirectoryPlace.start(target.directoryPort);
    const address = target.stack.address.replace(/:\d+#/, `:${place.port}#`);
    const honestPeak = await peakOfHonestClient(target, address);
    await using daemon = target.startOtherDevice(address);
    await daemon.line(/^online: /);
    const before = { memory: memoryOf(daemon.pid).now, descriptors: descriptorsOf(daemon.pid) };
    place.turnHostile();
    let most = before.memory;
    let clients = 0;
    // On a busy machine the time may be over before anybody has come.
    const done = new AbortController();
    const watching = takeTurns(1, done.signal, async () => {
      most = Math.max(most, memoryOf(daemon.pid).now); // throws when the daemon has ended
      if (signal.aborted && clients > 0 && place.links > 0) done.abort();
      await delay(LOOK_MS, undefined, { signal: done.signal }).catch(() => {});
    });
    const trying = takeTurns(CLIENTS, done.signal, async () => {
      const peak = await peakOfCheatedClient(target, address, done.signal);
      if (peak - honestPeak > GROWTH_BYTES)
        throw new Error(`a client took ${peak - honestPeak} bytes more than another`);
      if (!done.signal.aborted) clients++;
      await delay(PAUSE_MS, undefined, { signal: done.signal }).catch(() => {});
    });
    await Promise.all([watching, trying]).finally(() => done.abort());
    place.end();
    if (most - before.memory > GROWTH_BYTES) throw new Error(`the daemon grew by ${most - before.memory} bytes`);
    // It may be dialling just now, which is one more.
    const giveUp = AbortSignal.timeout(RELEASE_MS);
    while (descriptorsOf(daemon.pid) > before.descriptors + 1) await delay(LOOK_MS, undefined, { signal: giveUp });
    if (/\n\s+at /.test(daemon.stderr)) throw new Error(`the daemon tells where it failed: ${daemon.stderr}`);
    const { links, exchanges } = place;
    const grown = ((most - before.memory) / 1024 / 1024).toFixed(1);
    return `${exchanges} exchanges of ${clients} clients, ${links} links, answered in ${place.kinds} ways; that daemon grew ${grown} MB`;
  },
};

/** Where the ends believe the directory to be. It passes everything until it turns hostile. */
class DirectoryPlace implements AsyncDisposable {
  exchanges = 0;
  links = 0;
  readonly #used = new Set<string>();
  readonly #onLinks = [...Object.entries(INJECTIONS), ...rotated(Object.entries(ANSWERS))];
  readonly #directoryPort: number;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => void this.#accept(near));
  #isHostile = false;

  static async start(directoryPort: number): Promise<DirectoryPlace> {
    const place = new DirectoryPlace(directoryPort);
    place.#server.listen(0, "127.0.0.1");
    await once(place.#server, "listening");
    return place;
  }

  private constructor(directoryPort: number) {
    this.#directoryPort = directoryPort;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get kinds(): number {
    return this.#used.size;
  }

  /** Cuts what has passed so far, so that the daemon comes again. */
  turnHostile(): void {
    this.#isHostile = true;
    this.end();
  }

  end(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.end();
    await once(this.#server, "close");
  }

  async #accept(near: Socket): Promise<void> {
    this.#keep(near);
    const [head] = (await once(near, "data").catch(() => [])) as [Buffer?];
    if (head === undefined) return;
    const pass = (change?: Transform): void => {
      const far = this.#keep(connect({ port: this.#directoryPort, host: "127.0.0.1", allowHalfOpen: true }));
      far.write(head);
      near.pipe(far);
      if (change === undefined) far.pipe(near);
      else far.pipe(change).pipe(near);
      near.on("close", () => far.destroy());
      far.on("close", () => near.destroy());
    };
    if (!this.#isHostile) return pass();
    const isLink = head.includes("GET /v1/link ");
    // Clients meet every answer in its turn. A daemon comes ever more seldom, so not all of them in a minute, but all injections.
    const [answers, turn] = isLink ? [this.#onLinks, this.links++] : [Object.entries(ANSWERS), this.exchanges++];
    const [kind = "", answer] = answers[turn % answers.length] ?? [];
    this.#used.add(`${kind}, ${isLink ? "link" : "exchange"}`);
    near.resume();
    answer?.(near, pass);
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    return socket.on("error", () => {}).on("close", () => this.#sockets.delete(socket));
  }
}

/** The most bytes that a client had which came through. */
async function peakOfHonestClient(target: Target, address: string): Promise<number> {
  await using client = startClient(target, address);
  await client.line(/^SSH-2\.0-/);
  return memoryOf(client.pid).peak;
}

/** The most bytes that a client had until it gave up, as it must: it has met nobody but the attacker. */
async function peakOfCheatedClient(target: Target, address: string, signal: AbortSignal): Promise<number> {
  await using client = startClient(target, address);
  const { pid } = client;
  let peak = 0;
  const watched = new AbortController();
  const watching = takeTurns(1, watched.signal, async () => {
    peak = Math.max(peak, memoryOf(pid).peak || 0);
    await delay(LOOK_MS, undefined, { signal: watched.signal }).catch(() => {});
  }).catch(() => {}); // it has ended
  const over = once(signal, "abort", { signal: watched.signal }).catch(() => {});
  try {
    const exit = await Promise.race([client.exit({ timeoutMs: GIVE_UP_MS }), over]);
    if (exit === undefined || !("code" in exit) || signal.aborted) return peak;
    if (exit.code === null || exit.code === 0) throw new Error(`a client ended with ${exit.code ?? exit.signal}`);
    if (/\n\s+at /.test(exit.stderr) || !/E_[A-Z_]+/.test(exit.stderr)) throw new Error(`a client said ${exit.stderr}`);
    return peak;
  } finally {
    watched.abort();
    await watching;
  }
}

function startClient({ stack }: Target, address: string): RunningProcess {
  return stack.client.start("sshnp", "proxy", "--directory", address, "--client", "@client", "mygateway.device.np:22");
}

/** The same, begun somewhere else. */
function rotated<T>(items: readonly T[]): T[] {
  const first = Math.floor(Math.random() * items.length);
  return [...items.slice(first), ...items.slice(0, first)];
}

function inject(bytes: Buffer): Answer {
  return (near, pass) => {
    pass();
    afterwards(near, () => near.write(bytes));
  };
}

function afterwards(near: Socket, act: () => void): void {
  const timer = setTimeout(act, INJECTION_MS);
  near.on("close", () => clearTimeout(timer));
}

function drip(near: Socket, text: string): void {
  let sent = 0;
  const timer = setInterval(() => near.write(text.charAt(sent++ % text.length)), 100);
  near.on("close", () => clearInterval(timer));
}

/** Flips a bit in one byte of so many. */
function flipOneIn(bytes: number): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const changed = Buffer.from(chunk);
      for (let at = Math.floor(Math.random() * bytes); at < chunk.length; at += bytes)
        changed.writeUInt8(chunk.readUInt8(at) ^ 4, at);
      done(null, changed);
    },
  }).on("error", () => {});
}

function cutAfter(bytes: number): Transform {
  let left = bytes;
  const cut = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      this.push(chunk.subarray(0, left));
      left -= Math.min(left, chunk.length);
      if (left === 0) this.push(null);
      done();
    },
  });
  return cut.on("error", () => {});
}
