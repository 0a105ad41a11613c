import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { pino } from "pino";
import { type Leg, dialLeg } from "../../rendezvous/client.ts";
import { RendezvousServer, type RendezvousServerOptions } from "../../rendezvous/server.ts";
import type { Role } from "../../keys/names.ts";
import { newSession, newWorld, type Session, type World } from "./world.ts";

/** A rendezvous on a port of its own, with all that it has logged. */
export interface Serving extends AsyncDisposable {
  readonly world: World;
  readonly server: RendezvousServer;
  readonly port: number;
  readonly log: readonly Record<string, unknown>[];
  /** How often it asked for the directory's key list. */
  readonly asked: () => number;
  /** Lets the rendezvous' clocks jump ahead. */
  pass(ms: number): void;
  /** The next line with this message, logged already or still to come. */
  logged(message: string): Promise<Record<string, unknown>>;
  /** A session whose ticket names this rendezvous at its addresses. */
  session(): Session;
}

export async function serve(
  options: Partial<RendezvousServerOptions> & { readonly world?: World; readonly transports?: readonly string[] } = {},
): Promise<Serving> {
  const { world = newWorld(), transports = ["tcp", "ws"] } = options;
  const log: Record<string, unknown>[] = [];
  const waiting: (() => void)[] = [];
  let asked = 0;
  let passed = 0;
  const server = await RendezvousServer.start({
    suite: world.suite,
    key: world.rendezvous.publicKey,
    boot: world.boot,
    listen: { host: "127.0.0.1", port: 0 },
    now: () => ({ time: Date.now() + passed, monotonic: performance.now() + passed }),
    askForKeys: () => {
      asked += 1;
    },
    log: pino(
      { level: "debug" },
      {
        write: (line) => {
          log.push(JSON.parse(line));
          for (const look of waiting) look();
        },
      },
    ),
    ...options,
  });
  server.useKeyList({ ticket: [world.ticketKey.publicKey], expires: Date.now() + 24 * 3_600_000 });
  let read = 0;
  const logged = (message: string): Promise<Record<string, unknown>> =>
    new Promise((resolve) => {
      const look = (): void => {
        for (; read < log.length; read++) {
          const line = log[read];
          if (line?.["msg"] !== message) continue;
          read += 1;
          waiting.splice(waiting.indexOf(look), 1);
          resolve(line);
          return;
        }
      };
      waiting.push(look);
      look();
    });
  const addresses = transports.map((transport) => `${transport}://127.0.0.1:${server.port}`);
  return {
    world,
    server,
    port: server.port,
    log,
    asked: () => asked,
    pass: (ms) => {
      passed += ms;
    },
    logged,
    session: () => newSession(world, { addresses }),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

/** Dials as an end does. */
export function dial(
  world: World,
  session: Session,
  role: Role,
  options: Partial<Parameters<typeof dialLeg>[0]> = {},
): Promise<Leg> {
  let count = 0;
  const { suite } = world;
  const { ticket, entries, sid, legKey } = session;
  const rest = { nextDial: () => ++count, allowPrivate: true, signal: AbortSignal.timeout(20_000) };
  return dialLeg({ suite, ticket, entries, sid, legKey, role, ...rest, ...options });
}

/** Two ends that have met. */
export async function pair(serving: Serving, session: Session = serving.session()): Promise<[Duplex, Duplex]> {
  const client = await dial(serving.world, session, "client");
  const device = await dial(serving.world, session, "device");
  await Promise.all([client.joined, device.joined]);
  return [client.socket, device.socket];
}

/** A bare TCP connection. */
export async function connectTo(port: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Everything until the stream ends or closes. */
export async function readAll(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await new Promise<void>((resolve) => {
    stream
      .on("end", resolve)
      .on("close", resolve)
      .on("error", () => {});
    if (stream.readableEnded || stream.closed) resolve();
  });
  return Buffer.concat(chunks);
}

/** Exactly so many bytes, or an error when the stream ends before. */
export async function readBytes(stream: Duplex, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let missing = length;
  while (missing > 0) {
    const chunk: Buffer | null = stream.read(Math.min(missing, Math.max(1, stream.readableLength)));
    if (chunk !== null) {
      chunks.push(chunk);
      missing -= chunk.length;
    } else if (stream.readableEnded || stream.destroyed) {
      throw new Error(`the stream ended ${missing} bytes early`);
    } else {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          stream.off("readable", done).off("end", done).off("close", done);
          resolve();
        };
        stream.on("readable", done).on("end", done).on("close", done);
      });
    }
  }
  return Buffer.concat(chunks);
}
