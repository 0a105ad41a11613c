import { randomBytes } from "node:crypto";
import { fromBase64 } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { POSTGRES_PART_BYTES, REPLICA_MESSAGE_BYTES, REPLICA_MESSAGES_HALF } from "../../protocol/limits.ts";

/*
 * A message in as many notifications as it takes: 16 hex digits of its own, the part's number, the number of parts, with a dot
 * after each, then a part of its base64.
 */

export function partsOf(message: Uint8Array): string[] {
  const id = randomBytes(8).toString("hex");
  const text = Buffer.from(message).toString("base64");
  const count = Math.max(1, Math.ceil(text.length / POSTGRES_PART_BYTES));
  return Array.from({ length: count }, (_, at) => {
    return `${id}.${at}.${count}.${text.slice(at * POSTGRES_PART_BYTES, (at + 1) * POSTGRES_PART_BYTES)}`;
  });
}

/** Puts messages together whose parts come in order, with those of others in between. */
export class Parts {
  /** What has come of messages that are not whole, by their ids; the oldest first. */
  readonly #half = new Map<string, string[]>();

  /** Gives the message that is whole with this part. @throws {PeerError} E_PROTOCOL for what is no part, or no next one. */
  add(part: string): Uint8Array | undefined {
    const [, id = "", at, count, text = ""] = PART.exec(part) ?? [];
    const parts = this.#half.get(id) ?? [];
    this.#half.delete(id);
    if (id === "" || Number(at) !== parts.length || Number(count) > MOST_PARTS || Number(count) < 1) {
      throw new PeerError("E_PROTOCOL", "that is no part of a message that follows");
    }
    parts.push(text);
    if (parts.length === Number(count)) return fromBase64(parts.join(""));
    this.#half.set(id, parts);
    const [oldest] = this.#half.keys();
    if (oldest !== undefined && this.#half.size > REPLICA_MESSAGES_HALF) this.#half.delete(oldest);
    return undefined;
  }
}

const PART = /^([0-9a-f]{16})\.(\d{1,2})\.(\d{1,2})\.([A-Za-z0-9+/=]{0,8000})$/;
const MOST_PARTS = Math.ceil((4 * REPLICA_MESSAGE_BYTES) / 3 / POSTGRES_PART_BYTES);
