import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AgentAnswerBuffer,
  encodeAgentFailure,
  encodeKeysAnswer,
  encodeSignAnswer,
  parseAgentRequest,
} from "../keys/agent-messages.ts";
import { equalBytes } from "../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../keys/ed25519.ts";
import { SshnpError } from "../keys/errors.ts";
import { ed25519Line, parsePublicKeyLine } from "../keys/openssh.ts";
import { ed25519Signature } from "../keys/ssh-signature.ts";

/**
 * The SSH key of one session, and the agent (RFC 9987) from which our own ssh uses it: it has this key alone, with the
 * certificate that the device made for it, and it is gone with this process. The key is never on disk.
 */
export interface SessionAgent {
  /** The value for IdentityAgent of ssh_config(5). */
  readonly path: string;
  /** The public key in SSH's encoding. */
  readonly blob: Uint8Array;
  /** The agent answers once this is known; undefined: there is none, and so no key. */
  certified(certificate: Uint8Array | undefined): void;
  /** Leaves nothing behind. */
  close(): void;
}

/** Listens on a socket in a folder of mode 0700, so that only this user can come. It is there when this returns. */
export function openSessionAgent(suite: CipherSuite, random: RandomBytes): SessionAgent {
  const key = Ed25519PrivateKey.generate(suite, random);
  const { blob } = parsePublicKeyLine(ed25519Line(key.publicKey));
  let certified: SessionAgent["certified"] = () => {};
  const certificate = new Promise<Uint8Array | undefined>((resolve) => (certified = resolve));
  const folder = mkdtempSync(join(process.env["XDG_RUNTIME_DIR"] || tmpdir(), "sshnp-"));
  const path = join(folder, "agent");
  const visitors = new Set<Socket>();
  const server = createServer((socket) => {
    visitors.add(socket);
    socket.on("error", () => {}).once("close", () => visitors.delete(socket));
    serve(socket, async (bytes) => answer(suite, key, await certificate, bytes)).catch(() => socket.destroy());
  }).listen(path);
  const close = (): void => {
    certified(undefined);
    for (const socket of visitors) socket.destroy();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { path, blob, certified, close };
}

/** ssh asks one thing at a time. */
async function serve(socket: Socket, reply: (request: Uint8Array) => Promise<Uint8Array>): Promise<void> {
  let buffer = new AgentAnswerBuffer();
  for await (const piece of socket as AsyncIterable<Uint8Array>) {
    const request = buffer.push(piece);
    if (request === undefined) continue;
    buffer = new AgentAnswerBuffer();
    socket.write(await reply(request));
  }
}

function answer(
  suite: CipherSuite,
  key: Ed25519PrivateKey,
  certificate: Uint8Array | undefined,
  bytes: Uint8Array,
): Uint8Array {
  try {
    const request = parseAgentRequest(bytes);
    if (request.type === "keys") {
      return encodeKeysAnswer(certificate === undefined ? [] : [{ blob: certificate, comment: COMMENT }]);
    }
    if (certificate === undefined || !equalBytes(request.key, certificate)) return encodeAgentFailure();
    return encodeSignAnswer(ed25519Signature(suite.sign(key, request.data)));
  } catch (error) {
    if (error instanceof SshnpError) return encodeAgentFailure(); // extensions that are offered to every agent
    throw error;
  }
}

const COMMENT = new TextEncoder().encode("sshnp session key");
