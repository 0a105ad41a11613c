import type { Link, LinkEvent } from "../../directory/client.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import type { Notify } from "../../protocol/messages/session-request.ts";
import { patience, type Person, type World } from "./world.ts";

/** Posts a message of `sender`; its frames. */
export function send(world: World, sender: Person, message: { type: number; body: Uint8Array }, signal = patience()) {
  return world.client().send(sender.x25519, message, { signal });
}

/** The next frame, which must be of that type. */
export async function next<Type extends Frame["type"]>(
  frames: AsyncGenerator<Frame>,
  type: Type,
): Promise<Extract<Frame, { type: Type }>> {
  const { value } = await frames.next();
  if (value?.type !== type) throw new Error(`the directory sends ${JSON.stringify(value)}`);
  return value as Extract<Frame, { type: Type }>;
}

/** All frames to come. */
export async function rest(frames: AsyncGenerator<Frame>): Promise<Frame[]> {
  const all: Frame[] = [];
  for await (const frame of frames) all.push(frame);
  return all;
}

/** The only frame of an answer. */
export async function only(frames: AsyncGenerator<Frame>): Promise<Frame> {
  const [frame, ...others] = await rest(frames);
  if (frame === undefined || others.length > 0) throw new Error("not one frame");
  return frame;
}

/** Ends an answer before its end, as a client that is killed does, and waits until the directory has seen that. */
export async function lose(world: World, frames: AsyncGenerator<Frame>): Promise<void> {
  const { open } = world.directory.posts;
  await frames.return(undefined);
  while (world.directory.posts.open >= open) await new Promise(setImmediate);
}

/** A device's link as tests read it. */
export class TestLink {
  readonly link: Link;
  readonly #events: AsyncIterator<LinkEvent>;
  readonly #world: World;
  readonly #device: Person;

  private constructor(world: World, device: Person, link: Link) {
    this.link = link;
    this.#events = link.events[Symbol.asyncIterator]();
    this.#world = world;
    this.#device = device;
  }

  /** Opened, and known to the directory as the one that counts. */
  static async open(world: World, device: Person, options: Parameters<World["link"]>[1] = {}): Promise<TestLink> {
    const older = world.directory.presence.get(device);
    const link = new TestLink(world, device, await world.link(device, options));
    while ([undefined, older].includes(world.directory.presence.get(device))) await new Promise(setImmediate);
    return link;
  }

  /** The next event; what the directory says of the device itself is passed over unless it is asked for. */
  async event<Type extends LinkEvent["type"]>(type: Type): Promise<Extract<LinkEvent, { type: Type }>> {
    const { value } = (await this.#events.next()) as { value: LinkEvent | undefined };
    if (value?.type === "own" && type !== "own") return await this.event(type);
    if (value?.type !== type) throw new Error(`the directory sends ${JSON.stringify(value)}`);
    return value as Extract<LinkEvent, { type: Type }>;
  }

  async notified(): Promise<Notify> {
    return (await this.event("notify")).notify;
  }

  /** How the link ends, events before that included. */
  async end(): Promise<unknown> {
    try {
      while ((await this.#events.next()).done !== true);
      return "closed";
    } catch (error) {
      return error;
    }
  }

  /** Closes it and waits until the directory knows. */
  async close(): Promise<void> {
    this.link.close();
    while (this.#world.directory.presence.get(this.#device) !== undefined) await new Promise(setImmediate);
  }
}
