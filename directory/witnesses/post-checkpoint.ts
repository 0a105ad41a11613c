import type { IncomingMessage } from "node:http";
import { PeerError, UnavailableError } from "../../keys/errors.ts";
import { ADD_CHECKPOINT_BYTES, HEADER_BYTES, WITNESS_ANSWER_MS } from "../../protocol/limits.ts";

export interface PostedAnswer {
  readonly status: number;
  readonly body: string;
}

/**
 * POSTs `body` to a witness's /add-checkpoint. @throws {UnavailableError} E_TIMEOUT when nothing has answered whole within
 * WITNESS_ANSWER_MS; {PeerError} E_PROTOCOL for too long an answer; the signal's reason.
 */
export async function postCheckpoint(url: string, body: string, signal: AbortSignal): Promise<PostedAnswer> {
  const target = new URL(`${url.replace(/\/$/, "")}/add-checkpoint`);
  const http = target.protocol === "https:" ? await import("node:https") : await import("node:http");
  const limit = AbortSignal.any([signal, AbortSignal.timeout(WITNESS_ANSWER_MS)]);
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { "content-type": "text/plain; charset=utf-8", "content-length": Buffer.byteLength(body) };
      const options = { method: "POST", headers, agent: false, signal: limit, maxHeaderSize: HEADER_BYTES };
      const request = http.request(target, options, resolve);
      request.on("error", reject);
      request.end(body);
    });
    return { status: response.statusCode ?? 0, body: await readBody(response) };
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof PeerError) throw cause;
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "no answer in time";
    throw new UnavailableError("E_TIMEOUT", `It does not answer (${reason}).`, { cause });
  }
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response) {
    if (!(chunk instanceof Uint8Array)) continue;
    length += chunk.length;
    if (length > ADD_CHECKPOINT_BYTES) throw new PeerError("E_PROTOCOL", "a witness's answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
