import { type Finding, fine, toFix } from "./finding.ts";
import type { CertifiedLogins } from "./session-keys.ts";

export interface SessionKeyPlace {
  /** The only login that the daemon certifies; undefined: any. */
  readonly onlyLogin: string | undefined;
  readonly hasPolicy: boolean;
  /** Which SSH server it is, by its word in auto-server.ts. */
  readonly server: string;
  /** Whether an SSH server that listens takes the certificates; see look-at-trusted-key.ts. */
  readonly trust?: "told" | "not told" | "not seen" | undefined;
  /** Of the logins that are named, those that nobody can log in as, and why. */
  readonly refusals: ReadonlyMap<string, string>;
}

/** For whom keys of sessions are certified, and whether the SSH server takes them. */
export function judgeSessionKeys(
  logins: CertifiedLogins,
  { onlyLogin, hasPolicy, server, trust, refusals }: SessionKeyPlace,
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
  if (trust === "not told") {
    const text = `the SSH server does not take the certificates for ${whose}: it has not been told of the key that makes them`;
    return toFix(about, text, howToTell(onlyLogin));
  }
  const seen = { told: "the SSH server's configuration takes them", "not seen": NOT_SEEN };
  const told = server === "tcp" ? `; ${seen[trust ?? "not seen"]}` : "";
  return fine(about, `certified for ${whose}${limit}${told}`);
}

const NOT_SEEN =
  "whether the SSH server was told, as it has to be once, cannot be seen from here: sshnpd ssh-ca --help";

/** As root and as others alike, for whose CA it is goes by who runs `sshnpd ssh-ca`. */
function howToTell(onlyLogin: string | undefined): string {
  const whoever = onlyLogin ?? "the user who runs sshnpd";
  return `As ${whoever}: sshnpd ssh-ca | sudo tee /etc/ssh/sshd_config.d/sshnp.conf && sudo systemctl reload ssh`;
}
