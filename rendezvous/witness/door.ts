import type { IncomingMessage, ServerResponse } from "node:http";
import {
  ADD_CHECKPOINT_BYTES,
  WITNESS_ADDRESSES,
  WITNESS_REQUESTS_LOOPBACK_PER_SECOND,
  WITNESS_REQUESTS_PER_SECOND,
} from "../../protocol/limits.ts";
import { originOf } from "../origin.ts";
import type { Witness } from "./witness.ts";

/** `POST /add-checkpoint` of C2SP tlog-witness: bounded bodies, and so many a second of one address. */
export class WitnessDoor {
  readonly #witness: Pick<Witness, "answer">;
  /** Requests of each origin in the second that began then (monotonic ms). */
  #counted = { since: 0, counts: new Map<string, number>() };

  constructor(witness: Pick<Witness, "answer">) {
    this.#witness = witness;
  }

  /** Answers in the background. How long the body may take is up to whoever has the socket. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    this.#answer(request, response).catch(() => response.destroy());
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== "POST") return finish(response, 405, "POST only\n");
    if (!this.#admit(request.socket.remoteAddress)) return finish(response, 429, "too many requests\n");
    const body = await readBody(request);
    if (body === undefined) return finish(response, 413, "the request is too long\n");
    const { status, type, body: text } = await this.#witness.answer(body);
    finish(response, status, text, type);
  }

  #admit(remoteAddress: string | undefined): boolean {
    const now = performance.now();
    if (now - this.#counted.since >= 1000) this.#counted = { since: now, counts: new Map() };
    const { counts } = this.#counted;
    const origin = originOf(remoteAddress);
    const limit = origin === undefined ? WITNESS_REQUESTS_LOOPBACK_PER_SECOND : WITNESS_REQUESTS_PER_SECOND;
    const wanted = origin ?? "loopback";
    const key = counts.has(wanted) || counts.size < WITNESS_ADDRESSES ? wanted : "others";
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    return count <= limit;
  }
}

/** Undefined when it is too long. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    if (!(chunk instanceof Uint8Array)) continue;
    length += chunk.length;
    if (length > ADD_CHECKPOINT_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function finish(response: ServerResponse, status: number, text: string, type = "text/plain"): void {
  const headers = { connection: "close", "content-type": type, "content-length": Buffer.byteLength(text) };
  response.writeHead(status, headers).end(text);
}
