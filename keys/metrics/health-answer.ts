import type { IncomingMessage, ServerResponse } from "node:http";
import type { Readiness } from "./readiness.ts";

/**
 * Answers `GET /healthz` (the process answers: always 200) and `GET /readyz` (200, or 503 when it cannot do its work) for load
 * balancers and whoever else comes by the main port: one word, no details. False for anything else.
 */
export function answerHealth(
  { method, url }: Pick<IncomingMessage, "method" | "url">,
  response: ServerResponse,
  readiness: Pick<Readiness, "look">,
): boolean {
  if (method !== "GET" || (url !== "/healthz" && url !== "/readyz")) return false;
  if (url === "/healthz") sendText(response, 200, "ok\n");
  else
    void readiness.look().then(({ status }) => sendText(response, status === "not ready" ? 503 : 200, `${status}\n`));
  return true;
}

export function sendText(
  response: ServerResponse,
  status: number,
  text: string,
  type = "text/plain; charset=utf-8",
): void {
  const bytes = Buffer.from(text);
  const headers = { "content-type": type, "content-length": bytes.length, "cache-control": "no-store" };
  response.writeHead(status, headers).end(bytes);
}
