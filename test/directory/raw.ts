import { once } from "node:events";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import type { X25519PrivateKey } from "../../keys/x25519.ts";
import type { DirectoryClient } from "../../directory/client.ts";
import { type Frame, parseFrame } from "../../protocol/messages/response-frames.ts";
import { ResponseOpener } from "../../protocol/response.ts";
import { type Freshness, sealMessage } from "../../protocol/sealed-message.ts";
import { patience, random, suite } from "./world.ts";

export interface HttpAnswer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** One HTTP exchange to its end, as an attacker would make it. */
export async function http(
  url: URL,
  path: string,
  { method = "GET", body, headers = {} }: { method?: string; body?: Uint8Array; headers?: Record<string, string> } = {},
): Promise<HttpAnswer> {
  return await new Promise((resolve, reject) => {
    const sent = request(new URL(path, url), { method, headers, agent: false, signal: patience() }, (response) => {
      const chunks: Uint8Array[] = [];
      response.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** The bytes of a sealed message to the directory, with whatever freshness and id. */
export async function sealed(
  client: DirectoryClient,
  sender: X25519PrivateKey,
  message: { type: number; body: Uint8Array },
  { freshness = now(), id = random(16) }: { freshness?: Freshness; id?: Uint8Array } = {},
) {
  const { list } = await client.keyList({ signal: patience() });
  const [recipient] = list.sealing;
  if (recipient === undefined) throw new Error("no sealing key");
  const { type, body } = message;
  return sealMessage(suite, random, { sender, recipient }, { type, body, freshness, id });
}

/** Posts bytes and opens the frames of the answer. */
export async function post(client: DirectoryClient, message: { bytes: Uint8Array; responseSecret: Uint8Array }) {
  const { status, body } = await http(client.address.url, "/v1/messages", { method: "POST", body: message.bytes });
  if (status !== 200) return { status, frames: [] as Frame[] };
  const opener = new ResponseOpener(suite, message.responseSecret);
  const frames = opener.push(body).map((item) => ("keyList" in item ? undefined : parseFrame(item.type, item.body)));
  return { status, frames: frames.filter((frame) => frame !== undefined) };
}

/** A bare TCP connection to the directory. */
export async function dial(url: URL): Promise<Socket> {
  const socket = connect(Number(url.port), url.hostname);
  await once(socket, "connect", { signal: patience() });
  return socket;
}

export function now(): Freshness {
  return { kind: "time", time: Date.now() };
}
