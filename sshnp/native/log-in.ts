import type { Duplex } from "node:stream";
import type { AnyAuthMethod, Client as SshClient } from "ssh2";
import { equalBytes } from "../../keys/bytes.ts";
import { DeniedError, SecurityError, SshnpError, UnavailableError } from "../../keys/errors.ts";
import { hostName } from "../../keys/names.ts";
import { type PublicKeyLine, type PublicKeyType, parsePublicKeyLine } from "../../keys/openssh.ts";
import type { Attempt } from "../attempt.ts";
import { identities } from "./identities.ts";
import type { NativeOptions } from "./options.ts";
import { Client } from "./ssh2.ts";

/**
 * Logs in over a stream of the session. The server must have one of the host keys that came end to end, `pinned` as
 * known_hosts has them; nothing else is believed.
 * @throws {SecurityError} E_HOST_KEY; {DeniedError} E_SSH_AUTH when no key is admitted; {UnavailableError} E_NO_SSHD when
 * there is no SSH server; the signal's reason.
 */
export async function logIn(
  stream: Duplex,
  attempt: Attempt,
  pinned: readonly string[],
  options: NativeOptions,
  signal: AbortSignal,
): Promise<SshClient> {
  const keys = pinned.map((line) => parsePublicKeyLine(line));
  const client = new Client();
  const methods = identities(options, { signal });
  const trouble: { error?: unknown } = {};
  let isKnown = false;
  const offer = async (take: (method: AnyAuthMethod | false) => void): Promise<void> => {
    try {
      const { value, done } = await methods.next();
      take(done === true ? false : value);
    } catch (error) {
      trouble.error = error;
      take(false);
    }
  };
  const ready = new Promise<void>((resolve, reject) => {
    client.once("ready", resolve);
    client.once("error", reject);
    client.once("close", () => reject(new Error("closed")));
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
  const verify = (key: Buffer): boolean => (isKnown = keys.some(({ blob }) => equalBytes(blob, key)));
  client.connect({
    sock: stream,
    username: options.login,
    hostVerifier: verify,
    readyTimeout: 0, // a person may be asked for a passphrase
    keepaliveInterval: 0, // the channel below has its own
    ident: "sshnp",
    algorithms: { serverHostKey: hostKeyAlgorithms(keys), compress: ["none"] },
    authHandler: (_left, _partial, take) => void offer(take as (method: AnyAuthMethod | false) => void),
  });
  try {
    await ready;
    return client;
  } catch (error) {
    client.on("error", () => {});
    client.destroy();
    throw signal.aborted ? signal.reason : failure(trouble.error ?? error, attempt, options, keys, isKnown);
  }
}

type HostKeyAlgorithm = "rsa-sha2-512" | "rsa-sha2-256" | Exclude<PublicKeyType, `sk-${string}` | "ssh-rsa">;

/** Those of the keys that are known, so that the server presents one of them. */
function hostKeyAlgorithms(keys: readonly PublicKeyLine[]): HostKeyAlgorithm[] {
  return [...new Set(keys.flatMap(({ type }) => ALGORITHMS[type]))];
}

const ALGORITHMS: Readonly<Record<PublicKeyType, readonly HostKeyAlgorithm[]>> = {
  "ssh-ed25519": ["ssh-ed25519"],
  "ecdsa-sha2-nistp256": ["ecdsa-sha2-nistp256"],
  "ecdsa-sha2-nistp384": ["ecdsa-sha2-nistp384"],
  "ecdsa-sha2-nistp521": ["ecdsa-sha2-nistp521"],
  "ssh-rsa": ["rsa-sha2-512", "rsa-sha2-256"],
  "sk-ssh-ed25519@openssh.com": [],
  "sk-ecdsa-sha2-nistp256@openssh.com": [],
};

function failure(
  error: unknown,
  attempt: Attempt,
  { login }: NativeOptions,
  keys: readonly PublicKeyLine[],
  isKnown: boolean,
): unknown {
  if (error instanceof SshnpError) return error;
  const host = hostName(attempt.device);
  const level = error instanceof Error && "level" in error ? error.level : undefined;
  if (level === "client-authentication") {
    return new DeniedError("E_SSH_AUTH", `${host} does not admit you as ${login}: none of your keys is known to it.`, {
      next: `Add your public key for ${login} on the device (~/.ssh/authorized_keys), or name another: -i FILE`,
      cause: error,
    });
  }
  if (level === "handshake" && !isKnown) {
    const types = keys.map(({ type }) => type).join(", ");
    return new SecurityError(
      "E_HOST_KEY",
      `The SSH server of ${host} has none of the host keys that the device told (${types}).`,
      {
        next: "Somebody may stand between its daemon and that server. Look on the device what listens on its SSH port.",
        cause: error,
      },
    );
  }
  return new UnavailableError("E_NO_SSHD", `The SSH server of ${host} ended the connection before a login.`, {
    next: "Its log on the device says why.",
    cause: error,
  });
}
