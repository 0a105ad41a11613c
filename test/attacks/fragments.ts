import type { Attack } from "./attack.ts";
import { pace, Sockets, upgradeTo, webSocketFrame } from "./traffic.ts";

const PER_SECOND = 60;
const FRAMES = 500;

const EMPTY = Buffer.alloc(0);
const BYTE = Buffer.alloc(1);

const times = (count: number, frame: Buffer): Buffer => Buffer.concat(Array.from({ length: count }, () => frame));
const FLOODS: readonly Buffer[] = [
  Buffer.concat([webSocketFrame(0x02, BYTE), times(FRAMES, webSocketFrame(0x00, BYTE))]), // one message in tiny fragments
  Buffer.concat([webSocketFrame(0x02, EMPTY), times(FRAMES, webSocketFrame(0x00, EMPTY))]), // in empty ones
  times(FRAMES, webSocketFrame(0x82, BYTE)), // whole messages of a byte
  times(FRAMES, webSocketFrame(0x82, EMPTY)), // empty ones
  times(FRAMES, webSocketFrame(0x89, BYTE)), // pings
  times(FRAMES, webSocketFrame(0x8a, BYTE)), // pongs
  webSocketFrame(0x80, BYTE), // a continuation of nothing
  Buffer.concat([times(15, webSocketFrame(0x02, Buffer.alloc(4096)))]), // a second message within the first
  Buffer.concat([webSocketFrame(0x02, BYTE), times(14, webSocketFrame(0x00, Buffer.alloc(4096)))]), // never finished
  webSocketFrame(0xc2, BYTE), // compressed, which was not agreed on
  Buffer.of(0x82, 1, 0), // not masked
];

/** What WebSocket lets a client do and no client does, hundreds of frames on each connection. */
export const fragments: Attack = {
  name: "fragments",
  from: "elsewhere",
  surface: "directory /v1/link and rendezvous /v1/leg: WebSocket frames",
  async run(site, signal) {
    const sockets = new Sockets(256);
    const sent = await pace(PER_SECOND, signal, (n) => {
      const flood = FLOODS[(n >> 1) % FLOODS.length] ?? EMPTY;
      const isLink = n % 2 === 0;
      const socket = sockets.open(isLink ? site.directoryPort : site.rendezvousPort);
      socket?.write(upgradeTo(isLink ? "/v1/link" : "/v1/leg"));
      socket?.write(flood);
    });
    await sockets.close();
    return `${sent} WebSockets with floods of ${FLOODS.length} kinds`;
  },
};
