import type { Server } from "node:http";
import type { Socket } from "node:net";
import { CONNECTIONS_PER_ADDRESS } from "../protocol/limits.ts";
import { isLoopback, networkOf } from "../protocol/network-of.ts";

/** Closes what one address opens beyond its share, and calls `onClosed` each time. */
export function limitConnections(server: Server, onClosed: () => void): void {
  const open = new Map<string, number>();
  server.on("connection", (socket: Socket) => {
    const address = socket.remoteAddress ?? "";
    if (isLoopback(address)) return;
    const network = networkOf(address);
    const count = (open.get(network) ?? 0) + 1;
    if (count > CONNECTIONS_PER_ADDRESS) {
      socket.destroy();
      return onClosed();
    }
    open.set(network, count);
    socket.once("close", () => {
      const left = (open.get(network) ?? 1) - 1;
      if (left > 0) open.set(network, left);
      else open.delete(network);
    });
  });
}
