import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** Sends a text, ends, and gives what came back. */
export async function said(socket: Socket, text: string): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.end(text);
  await once(socket, "end");
  return Buffer.concat(chunks).toString();
}

/** A connection by SOCKS 5 (RFC 1928) to a port of the loopback over there. @throws {Error} when it is refused */
export async function throughSocks(proxyPort: number, port: number): Promise<Socket> {
  const socket = connect(proxyPort, "127.0.0.1");
  socket.write(Uint8Array.of(5, 1, 0));
  const greeting = await take(socket, 2);
  if (!greeting.equals(Buffer.of(5, 0))) throw new Error(`no SOCKS proxy: ${greeting.toString("hex")}`);
  socket.write(Uint8Array.of(5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255));
  const [version, status] = await take(socket, 10);
  if (version !== 5 || status !== 0) throw new Error("refused");
  return socket;
}

async function take(socket: Socket, length: number): Promise<Buffer> {
  for (;;) {
    const bytes = socket.read(length) as Buffer | null;
    if (bytes !== null) return bytes;
    if (socket.readableEnded || socket.destroyed) throw new Error("refused");
    await Promise.race([once(socket, "readable"), once(socket, "close")]);
  }
}
