import { on, once } from "node:events";
import { type ClientOptions, WebSocket } from "ws";
import type { DirectoryClient } from "../../directory/client.ts";
import { encodeLinkHello } from "../../protocol/messages/link.ts";
import type { Name } from "../../keys/names.ts";
import { LINK } from "../../protocol/messages/types.ts";
import { sealed } from "./raw.ts";
import { patience, type Person, random, type World, NO_POLICY } from "./world.ts";

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
  {
    path = "/v1/link",
    signal = patience(),
    ...options
  }: ClientOptions & { readonly path?: string; readonly signal?: AbortSignal } = {},
): Promise<RawLink> {
  const url = new URL(path, world.address.url);
  const socket = new WebSocket(url.href.replace("http", "ws"), { perMessageDeflate: false, ...options });
  const messages = on(socket, "message", { signal });
  const closed = new Promise<number>((resolve) => socket.once("close", resolve));
  await once(socket, "open", { signal });
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

/** The hello of a device, said at `time`, that asks for the owners of `names`. */
export async function helloBytes(
  client: DirectoryClient,
  device: Person,
  time: number,
  names: readonly Name[] = [],
): Promise<Uint8Array> {
  const { name, member } = device;
  const body = encodeLinkHello({
    name,
    member,
    epoch: random(16),
    version: "0.1.0",
    names,
    checkpointSize: 0,
    policyHash: NO_POLICY,
  });
  return (await sealed(client, device.x25519, { type: LINK.hello, body }, { freshness: { kind: "time", time } })).bytes;
}
