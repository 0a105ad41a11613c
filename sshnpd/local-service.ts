import { connect, type Socket } from "node:net";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import { SERVER_CONNECT_MS, SERVER_FAMILY_MS, SERVER_FLUSH_MS, SERVER_PROBE_MS } from "../protocol/limits.ts";
import type { StreamService } from "../protocol/service.ts";
import { ServerLookup } from "./server-lookup.ts";

/**
 * Connects a stream that a client asked for, and may have, with what its service means: the SSH server on 127.0.0.1, or the
 * host and port as this machine reaches them. Both ways, half-close kept: accepted once the server has answered; refused as closed
 * when the host says that nothing listens there, else as unreachable. The stream must not have been closed yet. Afterwards
 * the server is given time to take what was sent to it; one whose stream breaks off is told so by a RST, as it would be by TCP (but
 * for the SSH server: ssh tells what is whole by itself).
 */
export function connectToService(stream: ChannelStream, service: StreamService, sshPort: number): Socket {
  const { host, port } = service.kind === "ssh" ? { host: "127.0.0.1", port: sshPort } : service;
  const server = connect({
    ...{ host, port, lookup, allowHalfOpen: true, noDelay: true },
    ...{ keepAlive: true, keepAliveInitialDelay: SERVER_PROBE_MS },
    ...{ autoSelectFamily: true, autoSelectFamilyAttemptTimeout: SERVER_FAMILY_MS },
  });
  let isConnected = false;
  const late = setTimeout(() => server.destroy(new Error("the server does not answer")), SERVER_CONNECT_MS);
  server.once("connect", () => {
    isConnected = true;
    clearTimeout(late);
    stream.accept();
    server.pipe(stream).pipe(server);
  });
  server.once("close", () => clearTimeout(late));
  server.on("error", (error) => {
    if (!isConnected) {
      stream.refuse(isRefused(error) ? "closed" : "unreachable");
    } else if (server.readableEnded) {
      // A server that has said all and is gone takes no more: what the client still sends has no reader.
      stream.unpipe(server);
      stream.resume();
    } else {
      stream.destroy(error);
    }
  });
  stream.once("close", () => {
    if (!isConnected) server.destroy();
    else if (stream.readableEnded && stream.writableFinished)
      server.setTimeout(SERVER_FLUSH_MS, () => server.destroy());
    else if (service.kind === "tcp") server.resetAndDestroy();
    else server.destroy();
  });
  return server;
}

const { lookup } = new ServerLookup();

/** Of several addresses, one that refuses says that the host is there. */
function isRefused(error: Error): boolean {
  if (error instanceof AggregateError) return error.errors.some((each) => each instanceof Error && isRefused(each));
  return "code" in error && error.code === "ECONNREFUSED";
}
