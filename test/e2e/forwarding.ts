import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { RunningProcess } from "../support/processes.ts";
import type { Stack } from "../support/stack.ts";

/** A forward that stands, and the local ports in the order in which they were asked for. */
export interface Forward extends AsyncDisposable {
  readonly process: RunningProcess;
  readonly port: number;
  readonly ports: readonly number[];
}

/** Runs `sshnp forward @client @device mygateway WORDS` with so many ports, until all of them are printed. */
export async function startForward(stack: Stack, words: readonly string[], ports = 1): Promise<Forward> {
  const process = stack.client.start(
    "sshnp",
    ...["forward", "--print-port", "@client", "@device", "mygateway", ...words],
  );
  const [printed] = await process.line(new RegExp(`^\\d+$`));
  const all = process.stdout.trim().split("\n").map(Number);
  if (all.length !== ports) throw new Error(`${ports} ports were to be printed: ${process.stdout}`);
  return { process, port: Number(printed), ports: all, [Symbol.asyncDispose]: () => process[Symbol.asyncDispose]() };
}

/** A real server behind the device: what happens to each connection is the test's. */
export class DeviceServer implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #taken: Socket[] = [];

  static async start(onConnection: (socket: Socket) => void = () => {}, host = "127.0.0.1"): Promise<DeviceServer> {
    const sockets = new Set<Socket>();
    const taken: Socket[] = [];
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      taken.push(socket);
      socket.on("error", () => {}).once("close", () => sockets.delete(socket));
      onConnection(socket);
    });
    server.listen(0, host);
    await once(server, "listening");
    return new DeviceServer(server, sockets, taken);
  }

  private constructor(server: Server, sockets: Set<Socket>, taken: Socket[]) {
    this.#server = server;
    this.#sockets = sockets;
    this.#taken = taken;
    this.port = (server.address() as AddressInfo).port;
  }

  /** How many connections have been made to it. */
  get count(): number {
    return this.#taken.length;
  }

  /** The connections that are open. */
  get open(): readonly Socket[] {
    return [...this.#sockets];
  }

  /** The next connection, made already or still to come. */
  async connection(): Promise<Socket> {
    while (this.#taken.length === this.#given) await once(this.#server, "connection");
    const socket = this.#taken[this.#given++];
    if (socket === undefined) throw new Error("there is one");
    return socket;
  }

  #given = 0;

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** A connection of a local program, made. */
export async function localConnection(to: number | string, host = "127.0.0.1"): Promise<Socket> {
  const socket =
    typeof to === "string"
      ? connect({ path: to, allowHalfOpen: true })
      : connect({ port: to, host, allowHalfOpen: true });
  await once(socket, "connect");
  socket.on("error", () => {});
  return socket;
}

/** All that comes until the other side says that it has said all. @throws when it breaks off instead. */
export async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** The next bytes. */
export async function read(socket: Socket): Promise<string> {
  const [chunk] = (await once(socket, "data")) as [Buffer];
  return chunk.toString();
}

/** A port of 127.0.0.1 on which nothing listens. */
export async function closedPort(): Promise<number> {
  const server = await DeviceServer.start();
  await server[Symbol.asyncDispose]();
  return server.port;
}
