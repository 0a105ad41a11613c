import { once } from "node:events";
import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
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
import { SetupError, SshnpError } from "../keys/errors.ts";
import { ed25519Line, parsePublicKeyLine } from "../keys/openssh.ts";
import { shellWord } from "../keys/shell-word.ts";
import { ed25519Signature } from "../keys/ssh-signature.ts";
import { AGENT_VISIT_MS } from "../protocol/limits.ts";
import { leavePath, pathBeside, takePath } from "./agent-path.ts";
import { socketFolder } from "./socket-folder.ts";

/**
 * The SSH key of one session, and the agent (RFC 9987) from which ssh uses it: it has this key alone, with the certificate
 * that the device made for it and without, as some servers want it, and is gone with this process. The key is never on disk.
 */
export interface SessionAgent {
  /** The value for IdentityAgent of ssh_config(5). */
  readonly path: string;
  /** The public key in SSH's encoding. */
  readonly blob: Uint8Array;
  /** The agent answers once this is known; undefined: there is none, and so no key. */
  certified(certificate: Uint8Array | undefined): void;
  /** Leaves nothing behind. Ends within seconds. */
  close(): Promise<void>;
}

/** Listens on a socket in a folder of mode 0700, so that only this user can come. It is there when this returns. */
export function openSessionAgent(suite: CipherSuite, random: RandomBytes): SessionAgent {
  const folder = socketFolder("agent");
  const path = join(folder, "agent");
  const { blob, server, certified, close } = makeAgent(suite, random);
  server.listen(path);
  return {
    ...{ path, blob, certified },
    close: async () => {
      close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * The same for an ssh that was started by somebody else, whose configuration names `path`, in a folder of ours. The agent is there
 * when the certificate is. Whoever comes last with the same path stands there for all of them, and another when it closes: a
 * certificate is for an account on a device, and so as good for the one ssh as for the other.
 * @throws {SetupError} E_USAGE when a path of that length cannot be listened on; certified(): E_STORAGE.
 */
export function openSessionAgentAt(path: string, suite: CipherSuite, random: RandomBytes): SessionAgent {
  const mine = pathBeside(path);
  const { blob, server, certified, close } = makeAgent(suite, random);
  return {
    ...{ path, blob },
    certified: (certificate) => {
      certified(certificate);
      rmSync(mine, { force: true });
      server.listen(mine); // at once: there is no name to look up
      try {
        takePath(path);
      } catch (cause) {
        throw cannotWrite(path, cause);
      }
    },
    close: async () => {
      try {
        if (server.listening) await leavePath(path);
      } catch (error) {
        if (!isNotThere(error)) throw error; // where the folder is gone, so is the path
      } finally {
        if (server.listening) await visitsEnd(server);
        close();
      }
    },
  };
}

/**
 * Nobody comes any more; an ssh of another session that is here already logs in by this agent. One that asks for a password
 * holds its connection for longer, and needs it no more.
 */
async function visitsEnd(server: Server): Promise<void> {
  const over = once(server.close(), "close", { signal: AbortSignal.timeout(AGENT_VISIT_MS) });
  await over.catch(() => {});
}

function isNotThere(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function cannotWrite(path: string, cause: unknown): SetupError {
  return new SetupError("E_STORAGE", `Cannot write ${shellWord(path)}.`, {
    next: "The keys folder must lie on a disk that knows sockets and links, and has room. Another one: --keys",
    cause,
  });
}

function makeAgent(suite: CipherSuite, random: RandomBytes) {
  const key = Ed25519PrivateKey.generate(suite, random);
  const { blob } = parsePublicKeyLine(ed25519Line(key.publicKey));
  let certified: SessionAgent["certified"] = () => {};
  const certificate = new Promise<Uint8Array | undefined>((resolve) => (certified = resolve));
  const offered = certificate.then((made) => (made === undefined ? [] : [made, blob]));
  const visitors = new Set<Socket>();
  const server = createServer((socket) => {
    visitors.add(socket);
    socket.on("error", () => {}).once("close", () => visitors.delete(socket));
    serve(socket, async (bytes) => answer(suite, key, await offered, bytes)).catch(() => socket.destroy());
  });
  const close = (): void => {
    certified(undefined);
    for (const socket of visitors) socket.destroy();
    server.close();
  };
  return { blob, server, certified, close };
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
  offered: readonly Uint8Array[],
  bytes: Uint8Array,
): Uint8Array {
  try {
    const request = parseAgentRequest(bytes);
    if (request.type === "keys") {
      return encodeKeysAnswer(offered.map((blob) => ({ blob, comment: COMMENT })));
    }
    if (!offered.some((blob) => equalBytes(request.key, blob))) return encodeAgentFailure();
    return encodeSignAnswer(ed25519Signature(suite.sign(key, request.data)));
  } catch (error) {
    if (error instanceof SshnpError) return encodeAgentFailure(); // extensions that are offered to every agent
    throw error;
  }
}

const COMMENT = new TextEncoder().encode("sshnp session key");
