import { userInfo } from "node:os";
import { resolve } from "node:path";
import { hex } from "../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { SetupError, SshnpError } from "../keys/errors.ts";
import { type MemberName, quoted } from "../keys/names.ts";
import { ed25519FromBlob } from "../keys/openssh.ts";
import type { SshAuthority } from "../keys/ssh-authority-file.ts";
import { signUserCertificate } from "../keys/ssh-certificate.ts";
import { SSH_CERTIFICATE_MS, SSH_CERTIFICATE_SKEW_MS } from "../protocol/limits.ts";
import type { Prologue } from "../protocol/messages/prologue.ts";
import type { RequestPayload } from "../protocol/session/payloads.ts";
import { namesLogin } from "../protocol/policy/decide.ts";
import { isLogin } from "../protocol/service.ts";
import type { PeerClaim } from "../protocol/peers.ts";
import type { OwnPolicy, StatedPolicy } from "./own-policy.ts";

/** For which logins a device certifies keys of sessions: those listed; `any`: those that the policy names. */
export type CertifiedLogins = ReadonlySet<string> | "any";

export interface SessionKeysOptions {
  readonly suite: Pick<CipherSuite, "sign">;
  readonly random: RandomBytes;
  readonly authority: SshAuthority;
  readonly device: MemberName;
  readonly logins: CertifiedLogins;
  /** The only login that the SSH server can let in; undefined: it runs as root. */
  readonly onlyLogin: string | undefined;
  /** Whether all sessions reach the SSH server over loopback, so that the certificate need be good for nothing else. */
  readonly overLoopback: () => boolean;
  readonly policy: Pick<OwnPolicy, "current">;
  /** ms since 1970 UTC, by the clock that access goes by. */
  readonly now: () => number;
  /** The same by this machine's wall clock, right or wrong: the SSH server goes by it. */
  readonly wallClock: () => number;
}

/** A key to be certified, of a client that is let in. */
export interface KeyToCertify {
  readonly client: Pick<PeerClaim, "name" | "member">;
  /** In SSH's encoding. */
  readonly blob: Uint8Array;
  readonly login: string;
  /** Session id, in hex. */
  readonly sid: string;
}

/**
 * Certifies the SSH keys that clients make for one session. A certificate lasts for minutes, is good for one account, the one
 * that the request names, and nothing of it stays on the device.
 */
export class SessionKeys {
  readonly #options: SessionKeysOptions;

  constructor(options: SessionKeysOptions) {
    this.#options = options;
  }

  /** Path of the public key that certifies. */
  get authorityPath(): string {
    return resolve(this.#options.authority.publicKeyPath);
  }

  /**
   * The certificate in SSH's encoding, and its end; undefined when this key is not certified. With a policy, a grant that holds now must name
   * the login; without one it must be listed. A login that is merely not excluded is never certified.
   */
  async certify({
    client,
    blob,
    login,
    sid,
  }: KeyToCertify): Promise<Pick<CertifiedKey, "certificate" | "until"> | undefined> {
    const { suite, random, authority, onlyLogin, overLoopback, policy, wallClock } = this.#options;
    if (login === "" || (onlyLogin !== undefined && login !== onlyLogin)) return undefined;
    const key = keyOf(blob);
    if (key === undefined || !this.#isGranted(client, login, await policy.current())) return undefined;
    const now = wallClock();
    const validBefore = Math.ceil((now + SSH_CERTIFICATE_MS) / 1000);
    const certificate = signUserCertificate(suite, random, authority.key, {
      key,
      keyId: `sshnp ${client.name}/${client.member} ${sid}`,
      principals: [login],
      validAfter: Math.floor((now - SSH_CERTIFICATE_SKEW_MS) / 1000),
      validBefore,
      sourceAddress: overLoopback() ? "127.0.0.1/32,::1/128" : undefined,
    });
    return { certificate, until: validBefore * 1000 };
  }

  #isGranted(client: KeyToCertify["client"], login: string, policy: StatedPolicy): boolean {
    const { device, logins, now } = this.#options;
    const isListed = logins !== "any" && logins.has(login);
    if (policy === undefined) return isListed;
    if (policy === "unreadable" || !(isListed || logins === "any")) return false;
    return namesLogin(policy, client, device, { login, now: now() });
  }
}

/** A key that was certified for one session. */
export interface CertifiedKey {
  /** In SSH's encoding. */
  readonly key: Uint8Array;
  readonly certificate: Uint8Array;
  /** The moment that it is good for nothing any more, by this machine's wall clock, ms since 1970 UTC. */
  readonly until: number;
  /** Path of the public key that certifies, as TrustedUserCAKeys of sshd_config(5) wants it. */
  readonly authorityPath: string;
}

/**
 * The certificate for the key that a client made for its session, where the request asks for one and this daemon makes them.
 * msg2 seals it for the client alone.
 */
export async function certificateFor(
  sessionKeys: Pick<SessionKeys, "certify" | "authorityPath"> | undefined,
  { sshKey }: Pick<RequestPayload, "sshKey">,
  { service, client, login, sid }: Prologue,
): Promise<CertifiedKey | undefined> {
  if (service !== "ssh" || sshKey?.use !== "certify" || sessionKeys === undefined) return undefined;
  const certified = await sessionKeys.certify({ client, blob: sshKey.blob, login, sid: hex(sid) });
  return certified && { key: sshKey.blob, ...certified, authorityPath: sessionKeys.authorityPath };
}

/** The value of --session-keys: logins with commas, or nothing. @throws {SetupError} E_USAGE. */
export function parseCertifiedLogins(value: string | true): CertifiedLogins {
  return value === true ? "any" : new Set(parseLogins(value, "--session-keys"));
}

/** Logins with commas. @throws {SetupError} E_USAGE. */
export function parseLogins(value: string, option: string): readonly string[] {
  const logins = value.split(",");
  for (const login of logins) {
    if (login !== "" && isLogin(login)) continue;
    throw new SetupError("E_USAGE", `${option}: ${quoted(login)} is not a login.`, {
      next: `Name the logins with commas: ${option} pi,admin`,
    });
  }
  return logins;
}

/** Undefined where an SSH server of this daemon's can let in anybody. */
export function ownLoginUnlessRoot(): string | undefined {
  return process.geteuid?.() === 0 ? undefined : userInfo().username;
}

/** Session keys are Ed25519; of anything else no certificate is made. */
function keyOf(blob: Uint8Array): ReturnType<typeof ed25519FromBlob> | undefined {
  try {
    return ed25519FromBlob(blob);
  } catch (error) {
    if (error instanceof SshnpError) return undefined;
    throw error;
  }
}
