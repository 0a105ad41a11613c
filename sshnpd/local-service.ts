import { connect } from "node:net";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import type { Service } from "../protocol/service.ts";
import { Carried, joinStream } from "./join-stream.ts";
import type { Served } from "./ssh-server.ts";

/**
 * Connects a stream that a client asked for, and may have, with the host and port of its service as this machine reaches them.
 * Both ways, half-close kept: accepted once the server has answered, refused as unreachable when it does not. The socket is
 * closed when the stream is, which must not have happened yet.
 */
export function connectToService(
  stream: ChannelStream,
  { host, port }: Pick<Extract<Service, { kind: "tcp" }>, "host" | "port">,
): Served {
  const server = connect({ host, port, allowHalfOpen: true, noDelay: true });
  const carried = new Carried();
  const refuse = (): void => stream.refuse("unreachable");
  const giveUp = (): void => void server.destroy();
  server.setTimeout(CONNECT_MS, () => server.destroy(new Error("the server does not answer")));
  server.once("error", refuse);
  stream.once("close", giveUp);
  server.once("connect", () => {
    server.setTimeout(0);
    server.off("error", refuse);
    stream.off("close", giveUp);
    stream.accept();
    joinStream(stream, server);
  });
  server.once("close", () => {
    carried.count(server);
    carried.end();
  });
  return carried;
}

/** Over loopback, longer means that the server's backlog is full. */
export const CONNECT_MS = 10_000;
