import { expect, test } from "vitest";
import { judgeSessionKeys } from "../../sshnpd/judge-session-keys.ts";

const NOBODY: ReadonlyMap<string, string> = new Map();
const AS_PI = { onlyLogin: "pi", hasPolicy: false, server: "inetd sshd", refusals: NOBODY };
const AS_ROOT = { onlyLogin: undefined, hasPolicy: false, server: "tcp", refusals: NOBODY };

test.each([
  [["pi"], AS_PI, true, "certified for pi"],
  [["root"], AS_PI, false, "those of root are never certified, for this runs as pi"],
  [["pi", "root"], AS_PI, false, "those of root are never certified, for this runs as pi"],
  ["any", AS_PI, false, "none is certified: there is no policy of the owner that names logins"],
  [
    "any",
    { ...AS_PI, hasPolicy: true },
    true,
    "certified for logins that the policy names, of which pi alone can log in",
  ],
  [
    ["root", "pi"],
    AS_ROOT,
    true,
    "certified for root and pi; whether the SSH server was told, as it has to be once, cannot be seen from here: sshnpd ssh-ca --help",
  ],
  [["pi"], { ...AS_ROOT, trust: "told" }, true, "certified for pi; the SSH server's configuration takes them"],
  [
    ["pi"],
    { ...AS_ROOT, trust: "not told" },
    false,
    "the SSH server does not take the certificates for pi: it has not been told of the key that makes them",
  ],
  [["pi"], { ...AS_PI, server: "inetd dropbear" }, false, "dropbear takes no certificates"],
  [["pi"], { ...AS_PI, server: "builtin" }, true, "certified for pi"],
  [
    ["pi", "np"],
    { ...AS_ROOT, server: "builtin", refusals: new Map([["np", "it is locked"]]) },
    false,
    "nobody can log in as np: it is locked",
  ],
] as const)("--session-keys %j where %j", (logins, place, isFine, text) => {
  const finding = judgeSessionKeys(logins === "any" ? "any" : new Set(logins), place);
  expect(finding).toMatchObject({ about: "session keys", isFine, text });
  expect(finding.next === undefined).toBe(isFine);
});
