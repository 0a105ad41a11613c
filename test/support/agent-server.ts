import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";

/** Answers a request of the agent protocol, both without their length; undefined ends the connection instead. */
export type AgentHandler = (request: Buffer) => Buffer | undefined | Promise<Buffer | undefined>;

/** A server on a unix socket in `folder`, to be disposed of. */
export class AgentServer implements AsyncDisposable {
  readonly socket: string;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer();

  private constructor(socket: string) {
    this.socket = socket;
  }

  /** One that speaks the agent protocol (RFC 9987 section 5). */
  static async serve(folder: string, handler: AgentHandler): Promise<AgentServer> {
    return await AgentServer.listen(folder, (connection) => {
      let received = Buffer.alloc(0);
      const respond = async (request: Buffer): Promise<void> => {
        const answer = await handler(request);
        if (answer === undefined) connection.destroy();
        else connection.write(withLength(answer));
      };
      connection.on("data", (piece: Buffer) => {
        received = Buffer.concat([received, piece]);
        while (received.length >= 4 && received.length >= 4 + received.readUInt32BE(0)) {
          const length = received.readUInt32BE(0);
          const request = received.subarray(4, 4 + length);
          received = received.subarray(4 + length);
          respond(request).catch((error: unknown) => connection.destroy(error as Error));
        }
      });
    });
  }

  /** One that does with its connections what it is told to. */
  static async listen(folder: string, onConnection: (connection: Socket) => void): Promise<AgentServer> {
    const agent = new AgentServer(join(folder, "served"));
    agent.#server.on("connection", (connection) => {
      agent.#sockets.add(connection.on("error", () => {}).on("close", () => agent.#sockets.delete(connection)));
      onConnection(connection);
    });
    agent.#server.listen(agent.socket);
    await once(agent.#server, "listening");
    return agent;
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** A `string` of SSH, and what stands in front of a message to or from an agent. */
export function withLength(bytes: string | Uint8Array): Buffer {
  const body = Buffer.from(bytes);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}
