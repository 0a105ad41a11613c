import { randomBytes } from "node:crypto";
import {
  EARLY_DATA_BYTES,
  HEADER_BYTES,
  HELLO_BYTES,
  LINK_MESSAGE_BYTES,
  SEALED_MESSAGE_BYTES,
} from "../../protocol/limits.ts";
import type { Attack } from "./attack.ts";
import { pace, Sockets, upgradeTo, webSocketFrame } from "./traffic.ts";

const PER_SECOND = 200;

/** Frames of every kind that are cut off, empty, as long as they may be, a byte longer, or say that they are. */
export const frames: Attack = {
  name: "frames",
  from: "elsewhere",
  surface: "every port: leg hellos, HTTP heads and bodies, WebSocket messages of legs and links",
  async run(site, signal) {
    const sockets = new Sockets(256);
    const heads = (length: number): string => `GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ${"x".repeat(length)}\r\n\r\n`;
    const post = (said: number | string, sent: number): Buffer =>
      Buffer.concat([
        Buffer.from(`POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: ${said}\r\n\r\n`),
        Buffer.alloc(sent, 1),
      ]);
    const chunked = Buffer.from("POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    const tinyChunks = Buffer.from("1\r\nx\r\n".repeat(SEALED_MESSAGE_BYTES + 1));
    const hello = (said: number, sent: number): Buffer => {
      const bytes = Buffer.concat([Buffer.alloc(3), randomBytes(sent)]);
      bytes.writeUInt16BE(said, 1);
      return bytes;
    };
    const toRendezvous = (end: boolean, ...pieces: (Buffer | string)[]): void => {
      const socket = sockets.open(site.rendezvousPort);
      for (const piece of pieces) socket?.write(piece);
      if (end) socket?.end();
    };
    const toDirectory = (end: boolean, ...pieces: (Buffer | string)[]): void => {
      const socket = sockets.open(site.directoryPort);
      for (const piece of pieces) socket?.write(piece);
      if (end) socket?.end();
    };
    const leg = upgradeTo("/v1/leg");
    const link = upgradeTo("/v1/link");
    const moves = [
      ...[0, 1, 2, HELLO_BYTES - 3, HELLO_BYTES - 2, 0xffff].flatMap((said) => [
        () => toRendezvous(true, hello(said, Math.min(said, 40))),
        () => toRendezvous(false, hello(said, said)),
      ]),
      () => toRendezvous(true, Buffer.of(0)),
      () => toRendezvous(true, "GE"),
      () => toRendezvous(false, heads(HEADER_BYTES)),
      () => toRendezvous(false, hello(0xffff, 0), Buffer.alloc(EARLY_DATA_BYTES)),
      () => toRendezvous(false, leg, webSocketFrame(0x82, Buffer.alloc(EARLY_DATA_BYTES + 1))),
      () => toRendezvous(false, leg, webSocketFrame(0x82, Buffer.alloc(0), 2 ** 40)),
      () => toRendezvous(true, leg, webSocketFrame(0x82, hello(300, 300)).subarray(0, 100)),
      () => toDirectory(false, heads(HEADER_BYTES)),
      () => toDirectory(true, "POST /v1/mess"),
      ...[0, 1, SEALED_MESSAGE_BYTES, SEALED_MESSAGE_BYTES + 1, 2 ** 40].flatMap((said) => [
        () => toDirectory(false, post(said, Math.min(said, SEALED_MESSAGE_BYTES + 1))),
        () => toDirectory(true, post(said, Math.min(said, 500))),
      ]),
      () => toDirectory(false, post("99999999999999999999999", 10)),
      () => toDirectory(false, post(-1, 10)),
      () => toDirectory(false, chunked, "ffffffffffffffff\r\n"),
      () => toDirectory(false, chunked, tinyChunks),
      () => toDirectory(false, link, webSocketFrame(0x82, Buffer.alloc(LINK_MESSAGE_BYTES + 1))),
      () => toDirectory(false, link, webSocketFrame(0x82, Buffer.alloc(LINK_MESSAGE_BYTES))),
      () => toDirectory(false, link, webSocketFrame(0x82, Buffer.alloc(0), 2 ** 62)),
      () => toDirectory(true, link, webSocketFrame(0x82, Buffer.alloc(300)).subarray(0, 100)),
    ];
    const sent = await pace(PER_SECOND, signal, (n) => moves[n % moves.length]?.());
    await sockets.close();
    return `${sent} connections with ${moves.length} kinds of wrong frames`;
  },
};
