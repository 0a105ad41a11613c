import type { Socket } from "node:net";
import type { DirectoryAddress } from "../../protocol/directory-address.ts";
import { dial } from "./dial.ts";
import { once } from "./once.ts";

/** A connection to a directory, begun before all is there that a client of it takes. */
export interface Ahead {
  /** What goes wrong, the message tells that is sent over it. */
  readonly connection: Promise<Socket>;
  readonly warn: (text: string) => void;
}

/** Connects already, for the first message of a client that is made later. */
export function dialAhead(
  { url }: DirectoryAddress,
  { signal, warn }: { readonly signal: AbortSignal; readonly warn: (text: string) => void },
): Ahead {
  const tell = once(warn);
  const connection = dial(url, signal, tell);
  connection.catch(() => {});
  return { connection, warn: tell };
}

/** Nobody will send anything over it. */
export function hangUp(ahead: Ahead | undefined): void {
  ahead?.connection.then((socket) => socket.destroy()).catch(() => {});
}
