import { type Finding, fine, toFix } from "./finding.ts";
import type { CertifiedLogins } from "./session-keys.ts";

export interface SessionKeyPlace {
  /** The only login that the daemon certifies; undefined: any. */
  readonly onlyLogin: string | undefined;
  readonly hasPolicy: boolean;
  /** Which SSH server it is, by its word in auto-server.ts. */
  readonly server: string;
  /** Of the logins that are named, those that nobody can log in as, and why. */
  readonly refusals: ReadonlyMap<string, string>;
}

/** For whom keys of sessions are certified, and whether the SSH server takes them. */
export function judgeSessionKeys(
  logins: CertifiedLogins,
  { onlyLogin, hasPolicy, server, refusals }: SessionKeyPlace,
): Finding {
  const about = "session keys";
  const only = onlyLogin ?? "LOGIN";
  if (logins === "any" && !hasPolicy) {
    const text = "none is certified: there is no policy of the owner that names logins";
    return toFix(about, text, `Name them: sshnpd --session-keys ${only}`);
  }
  if (logins !== "any" && onlyLogin !== undefined) {
    const others = [...logins].filter((login) => login !== onlyLogin);
    if (others.length > 0) {
      const text = `those of ${others.join(" and ")} are never certified, for this runs as ${onlyLogin}`;
      return toFix(about, text, `sshnpd --session-keys ${only}   or run sshnpd as root`);
    }
  }
  for (const [login, refusal] of refusals) {
    return toFix(
      about,
      `nobody can log in as ${login}: ${refusal}`,
      "Name those who can: sshnpd --session-keys LOGIN,...",
    );
  }
  if (server === "inetd dropbear") {
    return toFix(about, "dropbear takes no certificates", "Install OpenSSH's server: apt-get install openssh-server");
  }
  const whose = logins === "any" ? `logins that the policy names` : [...logins].join(" and ");
  const limit = logins === "any" && onlyLogin !== undefined ? `, of which ${onlyLogin} alone can log in` : "";
  const told = server === "tcp" ? "; the SSH server has to be told once: sshnpd ssh-ca" : "";
  return fine(about, `certified for ${whose}${limit}${told}`);
}
