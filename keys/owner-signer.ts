import { type AgentKey, typeOfKey } from "./agent-messages.ts";
import { utf8 } from "./bytes.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import type { Ed25519PrivateKey } from "./ed25519.ts";
import { DeniedError, SetupError, SshnpError } from "./errors.ts";
import { quoted } from "./names.ts";
import {
  ed25519Line,
  type Fingerprint,
  fingerprint,
  isFingerprint,
  type PublicKeyLine,
  parsePublicKeyBlob,
} from "./openssh.ts";
import type { SignedText, TextToSign } from "./signed-text.ts";
import type { SshAgent } from "./ssh-agent.ts";
import { isSigningType } from "./ssh-signature.ts";
import { assembleSshsig, bytesToSign, signSshsig } from "./sshsig.ts";

/** What signs for the owner of a name, wherever the owner key is. */
export interface OwnerSigner {
  /** The owner key as an OpenSSH public key line without comment. */
  readonly line: string;
  /** An SSHSIG blob of `message` under `namespace`, hashed with SHA-512, which {@link line}'s key has made. */
  sign(namespace: string, message: Uint8Array): Promise<Uint8Array>;
}

/** Where an owner key is that is in no file of ours. */
export interface OwnerKeyInAgent {
  readonly fingerprint: Fingerprint;
}

/** Why a signature may take a while: somebody has to touch a token, or the agent seems to ask somebody. */
export type SigningWait = "touch" | "answer";

/** `agent:SHA256:...`, as `--owner-key` has it. @throws {SetupError} E_USAGE on anything else. */
export function parseOwnerKey(text: string): OwnerKeyInAgent {
  const wanted = text.startsWith(AGENT_PREFIX) ? text.slice(AGENT_PREFIX.length) : "";
  if (isFingerprint(wanted)) return { fingerprint: wanted };
  throw new SetupError("E_USAGE", `${quoted(text)} does not name an owner key.`, {
    next: "It reads agent:SHA256:... with the fingerprint of a key in ssh-agent, as ssh-add -l prints it.",
  });
}

/** Signs with a key that is at hand, out of a file say. */
export function keySigner(suite: CipherSuite, privateKey: Ed25519PrivateKey): OwnerSigner {
  return {
    line: ed25519Line(privateKey.publicKey),
    sign: async (namespace, message) => signSshsig(suite, privateKey, namespace, message),
  };
}

/**
 * Signs with a key that an agent has: Ed25519, in its memory or on a FIDO2 token. The signal holds for all signatures, too.
 * `onWait` is called when a person may have to act for one: at once for a token, else after `noticeMs` of silence.
 * @throws {SetupError} E_AGENT when the agent has no such key, or it is of a type that cannot sign; those of
 * {@link SshAgent.keys}, and for signatures of {@link SshAgent.sign}. The signal's reason when it is aborted.
 */
export async function agentSigner(
  suite: CipherSuite,
  agent: SshAgent,
  wanted: OwnerKeyInAgent,
  waiting: {
    readonly onWait: (wait: SigningWait) => void;
    readonly noticeMs: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<OwnerSigner> {
  const key = choose(suite, await agent.keys(waiting), wanted);
  return {
    line: key.line,
    async sign(namespace, message) {
      const data = bytesToSign(suite, namespace, message);
      const stopNotice = noticeOf(key, waiting);
      try {
        return assembleSshsig(key, namespace, await agent.sign(key, data, waiting));
      } catch (error) {
        // A key that was taken away meanwhile is the one reason that the agent can be asked for.
        if (error instanceof DeniedError) choose(suite, await agent.keys(waiting), wanted);
        throw error;
      } finally {
        stopNotice();
      }
    },
  };
}

/** A text with the signature that it is for. Throws as the signer does. */
export async function signText(signer: OwnerSigner, { text, namespace }: TextToSign): Promise<SignedText> {
  return { text, signature: await signer.sign(namespace, utf8(text)) };
}

const AGENT_PREFIX = "agent:";
/** Of the keys that an agent has instead, those that a message names; a screenful is no help. */
const MAX_TOLD_KEYS = 6;

function noticeOf(
  { type }: PublicKeyLine,
  { onWait, noticeMs }: { readonly onWait: (wait: SigningWait) => void; readonly noticeMs: number },
): () => void {
  if (type === "sk-ssh-ed25519@openssh.com") {
    onWait("touch");
    return () => {};
  }
  const timer = setTimeout(() => onWait("answer"), noticeMs);
  return () => clearTimeout(timer);
}

function choose(
  suite: CipherSuite,
  keys: readonly AgentKey[],
  { fingerprint: wanted }: OwnerKeyInAgent,
): PublicKeyLine {
  const found = keys.find(({ blob }) => fingerprint(suite, blob) === wanted);
  if (found === undefined) throw noSuchKey(suite, keys, wanted);
  const key = parsed(found);
  if (key !== undefined && isSigningType(key.type)) return key;
  throw new SetupError("E_AGENT", `${wanted} is ${typeOfKey(found) ?? "a key"} that cannot be an owner key.`, {
    next: "An owner key is Ed25519: ssh-keygen -t ed25519 makes one, ssh-keygen -t ed25519-sk one on a FIDO2 token.",
  });
}

function parsed({ blob }: AgentKey): PublicKeyLine | undefined {
  try {
    return parsePublicKeyBlob(blob);
  } catch (error) {
    if (error instanceof SshnpError) return undefined;
    throw error;
  }
}

function noSuchKey(suite: CipherSuite, keys: readonly AgentKey[], wanted: Fingerprint): SetupError {
  if (keys.length === 0) {
    return new SetupError("E_AGENT", "The SSH agent has no keys, or is locked.", {
      next: "Unlock it (ssh-add -X) or give it the key (ssh-add FILE), then run this again.",
    });
  }
  const told = keys.slice(0, MAX_TOLD_KEYS).map((key) => {
    const comment = quoted(new TextDecoder().decode(key.comment));
    return `${fingerprint(suite, key.blob)} (${typeOfKey(key) ?? "of an unknown type"}, ${comment})`;
  });
  const others = keys.length - told.length;
  const list = [...told, ...(others > 0 ? [`${others} others`] : [])].join(", ");
  return new SetupError("E_AGENT", `The SSH agent does not have the key ${wanted}.`, {
    next: `Give it the key (ssh-add FILE), or name one that it has: ${list}.`,
  });
}
