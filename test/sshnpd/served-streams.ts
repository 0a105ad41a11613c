import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { pino } from "pino";
import { parseMember, parseName } from "../../keys/names.ts";
import { bindChannel } from "../../protocol/channel/bind-channel.ts";
import { Channel } from "../../protocol/channel/channel.ts";
import { CLOCK } from "../../sshnpd/clock.ts";
import { CHANNEL_LIMITS } from "../../sshnpd/requests.ts";
import type { Log } from "../../sshnpd/log.ts";
import type { Served, SshServer, SshVisitor } from "../../sshnpd/ssh-server.ts";
import { random, socketPair, suite } from "./stage.ts";

export interface LogLine {
  readonly msg: string;
  readonly port?: number;
  readonly pid?: number;
  readonly line?: string;
  readonly server?: string;
}

export interface ServedStreams extends AsyncDisposable {
  /** Each connection to it is a stream at the device's SSH server. */
  readonly port: number;
  readonly served: Served[];
  readonly lines: LogLine[];
  readonly log: Log;
}

export interface ServeOptions {
  readonly client?: string;
  readonly login?: string;
  readonly together?: number;
  /** In place of a client that is called as the login says. */
  readonly visitor?: SshVisitor;
}

/**
 * A channel between client and device, both ends real, whose streams the device gives to an SSH server, made with its log. The
 * first streams are opened when there are so many `together`.
 */
export async function serveStreams(
  make: (log: Log) => SshServer,
  { client: name = "@client", login = "", together = 1, visitor: other }: ServeOptions = {},
): Promise<ServedStreams> {
  const lines: LogLine[] = [];
  const log = pino({ base: null, level: "debug" }, { write: (line) => void lines.push(JSON.parse(line)) });
  const server = make(log);
  const served: Served[] = [];
  const visitor = other ?? { client: parseName(name), member: parseMember("laptop-client"), login };
  const [near, far] = await socketPair();
  const keys = [random(32), random(32)] as const;
  const { signal } = new AbortController();
  const device = bindChannel(newChannel("device", keys), near, {
    ...{ signal, clock: CLOCK },
    onOpen: (stream) => served.push(server.serve(stream, visitor, log)),
  });
  const client = bindChannel(newChannel("client", keys), far, { signal, clock: CLOCK });
  const held: Socket[] = [];
  const open = (socket: Socket): void => {
    const stream = client.open("ssh");
    stream.once("close", () => socket.destroy());
    socket.on("error", () => stream.destroy()).once("close", () => stream.destroy());
    socket.pipe(stream).pipe(socket);
  };
  const front: Server = createServer({ allowHalfOpen: true }, (socket) => {
    if (held.push(socket) >= together) for (const each of held.splice(0)) open(each);
  }).listen(0, "127.0.0.1");
  await once(front, "listening");
  return {
    port: (front.address() as AddressInfo).port,
    served,
    lines,
    log,
    [Symbol.asyncDispose]: async () => {
      front.close();
      client.close("finished");
      await device.closed;
      await Promise.all(served.map(({ closed }) => closed));
      await server.close();
      near.destroy();
      far.destroy();
    },
  };
}

function newChannel(role: "client" | "device", [up, down]: readonly [Uint8Array, Uint8Array]): Channel {
  const [send, receive] = role === "client" ? [up, down] : [down, up];
  return new Channel({ role, send: suite.aead(send), receive: suite.aead(receive), limits: CHANNEL_LIMITS });
}
