import { BUILTIN_WINDOW_BYTES, BUILTIN_WINDOW_LEAST_BYTES, BUILTIN_WINDOWS_BYTES } from "../../protocol/limits.ts";

/**
 * How much clients may send that nobody here has read yet, on all channels of all their connections. Each channel begins with
 * the least window, and grows while its reader keeps up and others of the same client leave it room.
 */
export class Windows {
  readonly #taken = new Map<string, number>();

  /** The window of one more channel of a client; undefined when it has as many as it may. */
  open(client: string): ChannelWindow | undefined {
    return this.take(client, BUILTIN_WINDOW_LEAST_BYTES, BUILTIN_WINDOWS_BYTES)
      ? new ChannelWindow(this, client)
      : undefined;
  }

  /** Adds to what a client has, unless that would become more than `most`. */
  take(client: string, bytes: number, most: number): boolean {
    const taken = (this.#taken.get(client) ?? 0) + bytes;
    if (taken > most) return false;
    this.#taken.set(client, taken);
    return true;
  }

  give(client: string, bytes: number): void {
    const left = (this.#taken.get(client) ?? 0) - bytes;
    if (left > 0) this.#taken.set(client, left);
    else this.#taken.delete(client);
  }
}

/** What the client may send on one channel ahead of its reader. */
export class ChannelWindow {
  readonly #windows: Windows;
  readonly #client: string;
  #bytes = BUILTIN_WINDOW_LEAST_BYTES;
  #isClosed = false;

  constructor(windows: Windows, client: string) {
    this.#windows = windows;
    this.#client = client;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Doubles it where it may. A part of all is left to channels that are still to come. */
  grow(): void {
    const more = Math.min(this.#bytes, BUILTIN_WINDOW_BYTES - this.#bytes);
    if (more === 0 || this.#isClosed) return;
    if (this.#windows.take(this.#client, more, BUILTIN_WINDOWS_BYTES * GROWN_PART)) this.#bytes += more;
  }

  /** To be called when the channel is closed, once or more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#windows.give(this.#client, this.#bytes);
  }
}

const GROWN_PART = 3 / 4;
