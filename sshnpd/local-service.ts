import { connect, type Socket } from "node:net";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import type { StreamService } from "../protocol/service.ts";

/**
 * Connects a stream that a client asked for, and may have, with what its service means: the SSH server on 127.0.0.1, or the
 * host and port as this machine reaches them. Both ways, half-close kept: accepted once the server has answered, refused as
 * unreachable when it does not. The socket is closed when the stream is, which must not have happened yet.
 */
export function connectToService(stream: ChannelStream, service: StreamService, sshPort: number): Socket {
  const { host, port } = service.kind === "ssh" ? { host: "127.0.0.1", port: sshPort } : service;
  const server = connect({ host, port, allowHalfOpen: true, noDelay: true });
  let isConnected = false;
  server.setTimeout(CONNECT_MS, () => server.destroy(new Error("the server does not answer")));
  server.once("connect", () => {
    isConnected = true;
    server.setTimeout(0);
    stream.accept();
    server.pipe(stream).pipe(server);
  });
  server.on("error", (error) => {
    if (!isConnected) {
      stream.refuse("unreachable");
    } else if (server.readableEnded) {
      // A server that has said all and is gone takes no more: what the client still sends has no reader.
      stream.unpipe(server);
      stream.resume();
    } else {
      stream.destroy(error);
    }
  });
  stream.once("close", () => server.destroy());
  return server;
}

/** Over loopback, longer means that the server's backlog is full. */
const CONNECT_MS = 10_000;
