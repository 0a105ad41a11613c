import { connect } from "node:net";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import { SERVER_CONNECT_MS, SERVER_FAMILY_MS, SERVER_FLUSH_MS, SERVER_PROBE_MS } from "../protocol/limits.ts";
import type { Service } from "../protocol/service.ts";
import { Carried } from "./join-stream.ts";
import { boundedLookup } from "./server-lookup.ts";
import type { Served } from "./ssh-server.ts";

/**
 * Connects a stream that a client asked for, and may have, with the host and port of its service as this machine reaches them.
 * Both ways, half-close kept: accepted once the server has answered; refused as closed when the host says that nothing listens
 * there, else as unreachable. The stream must not have been closed yet. Afterwards the server is given time to take what was
 * sent to it; one whose stream breaks off is told so by a RST, as it would be by TCP.
 */
export function connectToService(
  stream: ChannelStream,
  { host, port }: Pick<Extract<Service, { kind: "tcp" }>, "host" | "port">,
): Served {
  const server = connect({
    ...{ host, port, lookup: boundedLookup, allowHalfOpen: true, noDelay: true },
    ...{ keepAlive: true, keepAliveInitialDelay: SERVER_PROBE_MS },
    ...{ autoSelectFamily: true, autoSelectFamilyAttemptTimeout: SERVER_FAMILY_MS },
  });
  const carried = new Carried();
  let isConnected = false;
  const late = setTimeout(() => server.destroy(new Error("the server does not answer")), SERVER_CONNECT_MS);
  server.once("connect", () => {
    isConnected = true;
    clearTimeout(late);
    stream.accept();
    server.pipe(stream).pipe(server);
  });
  server.once("close", () => {
    clearTimeout(late);
    carried.count(server);
    carried.end();
  });
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
    else server.resetAndDestroy();
  });
  return carried;
}

/** Of several addresses, one that refuses says that the host is there. */
function isRefused(error: Error): boolean {
  if (error instanceof AggregateError) return error.errors.some((each) => each instanceof Error && isRefused(each));
  return "code" in error && error.code === "ECONNREFUSED";
}
