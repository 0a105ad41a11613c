import type { Socket } from "node:net";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import type { Served } from "./ssh-server.ts";

/** Carries bytes between an accepted stream and a socket that is connected, half-close kept. Each closes the other. */
export function joinStream(stream: ChannelStream, socket: Socket): void {
  socket.on("error", (error) => {
    if (socket.readableEnded) {
      // A server that has said all and is gone takes no more: what the client still sends has no reader.
      stream.unpipe(socket);
      stream.resume();
    } else {
      stream.destroy(error);
    }
  });
  stream.once("close", () => socket.destroy());
  socket.pipe(stream).pipe(socket);
}

/** What is carried by one socket after another, of which each is counted when it is closed. */
export class Carried implements Served {
  received = 0;
  sent = 0;
  readonly closed: Promise<void>;
  #end: () => void = () => {};

  constructor() {
    this.closed = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  count(socket: Pick<Socket, "bytesRead" | "bytesWritten">): void {
    this.received += socket.bytesWritten;
    this.sent += socket.bytesRead;
  }

  end(): void {
    this.#end();
  }
}
