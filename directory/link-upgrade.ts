import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "./clock.ts";
import type { ConnectObserver, TurnedAway } from "./connect-observer.ts";
import type { LinkServer } from "./link-server.ts";
import type { AddressLimiter } from "./rate-limit.ts";
import { LINK, METERED_LINK } from "./link-routes.ts";
import { retryAfter } from "./returning.ts";

interface Routes {
  readonly links: Pick<LinkServer, "accept" | "turnAway">;
  readonly limiter: AddressLimiter;
  readonly clock: Clock;
  readonly observer: Pick<ConnectObserver, "turnedAway"> | undefined;
}

/** An HTTP upgrade: of a device that wants a link, unless there are too many just now, which costs no look at what it says. */
export function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, routes: Routes): void {
  const { links, limiter, clock, observer } = routes;
  const now = clock.monotonic();
  const refuse = (status: string, wait?: number): void => {
    const again = wait === undefined ? "" : `Retry-After: ${retryAfter(wait)}\r\n`;
    // No timer of HTTP's counts any more: who keeps its own side open would keep the descriptor.
    socket.once("finish", () => socket.destroy());
    socket.end(`HTTP/1.1 ${status}\r\n${again}Connection: close\r\nContent-Length: 0\r\n\r\n`);
  };
  const turnAway = (why: TurnedAway, status: string, wait: number): void => {
    observer?.turnedAway(why);
    refuse(status, wait);
  };
  const onError = (): void => void socket.destroy();
  socket.on("error", onError);
  const isMetered = request.url === METERED_LINK;
  if (request.url !== LINK && !isMetered) return refuse("404 Not Found");
  // Only browsers send it, and no page has any business here.
  if (request.headers.origin !== undefined) return refuse("403 Forbidden");
  const bucket = limiter.bucket(request.socket.remoteAddress ?? "", now);
  if (!bucket.take(now)) return turnAway("address rate", "429 Too Many Requests", bucket.wait(now, 1));
  const wait = links.turnAway();
  if (wait !== undefined) return turnAway("hellos", "503 Service Unavailable", wait);
  links.accept(request, socket, head, isMetered);
  socket.off("error", onError); // which the link hears of from here on
}
