import { on, once } from "node:events";
import { type ClientOptions, WebSocket } from "ws";
import { patience, type World } from "./world.ts";

/** A WebSocket to the directory without a client of ours behind it. */
export interface RawLink {
  readonly socket: WebSocket;
  /** The close code, once it is closed. */
  readonly closed: Promise<number>;
  /** The next message. */
  message(): Promise<Uint8Array>;
}

/** Opens one; rejects with the status when the directory refuses. */
export async function connectRaw(
  world: World,
  { path = "/v1/link", ...options }: ClientOptions & { readonly path?: string } = {},
): Promise<RawLink> {
  const url = new URL(path, world.address.url);
  const socket = new WebSocket(url.href.replace("http", "ws"), { perMessageDeflate: false, ...options });
  const messages = on(socket, "message", { signal: patience() });
  const closed = new Promise<number>((resolve) => socket.once("close", resolve));
  await once(socket, "open", { signal: patience() });
  socket.on("error", () => {}); // what was being sent when it was cut off
  return {
    socket,
    closed,
    async message() {
      const { value } = (await messages.next()) as { value: [Uint8Array] };
      return value[0];
    },
  };
}
