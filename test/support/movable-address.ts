import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Where something is reached whichever server it is on, as a virtual address or a load balancer does it. */
export class MovableAddress implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Port of 127.0.0.1 that new connections go to. */
  target: number;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.target = target;
    server.on("connection", (socket: Socket) => {
      const onward = connect(this.target, "127.0.0.1");
      for (const one of [socket, onward]) {
        this.#sockets.add(one);
        one
          .on("error", () => {})
          .on("close", () => this.#sockets.delete(one) && [socket, onward].forEach((s) => s.destroy()));
      }
      socket.pipe(onward).pipe(socket);
    });
  }

  static async of(target: number): Promise<MovableAddress> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new MovableAddress(server, target);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }
}
