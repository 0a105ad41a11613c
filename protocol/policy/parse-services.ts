import { quoted } from "../../keys/names.ts";
import { parseService, type Service, type StreamService } from "../service.ts";
import type { ServicePattern } from "./policy.ts";
import { problem } from "./problem.ts";
import type { TextNode } from "./tree.ts";

/** `ssh`, `tcp:HOST:PORT`, `tcp:HOST:*`, `tcp:*:PORT`, `tcp:*:*`. @throws {SetupError} E_POLICY. */
export function parseServicePattern(node: TextNode): ServicePattern {
  const [, host, port] = /^tcp:(.*):([^:]*)$/.exec(node.text) ?? [];
  if (host === undefined || (host !== "*" && port !== "*")) return parseOneService(node);
  const form = 'Services are ssh and tcp:HOST:PORT; a * stands for any host or any port as a whole, as in "tcp:*:80".';
  const service = parsed(`tcp:${host === "*" ? "any" : host}:${port === "*" ? "1" : port}`, node, form);
  if (service.kind === "ssh") return service;
  return { kind: "tcp", host: host === "*" ? host : service.host, port: port === "*" ? port : service.port };
}

/** One service and no more. @throws {SetupError} E_POLICY. */
export function parseOneService(node: TextNode): StreamService {
  return parsed(
    node.text,
    node,
    "Services are ssh and tcp:HOST:PORT, in lower case, with IPv6 in brackets and quotes.",
  );
}

function parsed(text: string, node: TextNode, form: string): StreamService {
  const fact = `${quoted(node.text)} is not a service.`;
  let service: Service;
  try {
    service = parseService(text);
  } catch {
    throw problem(node.at, fact, form);
  }
  if (service.kind === "ping") throw problem(node.at, fact, "Take it out: whoever may use anything may ping.");
  return service;
}
