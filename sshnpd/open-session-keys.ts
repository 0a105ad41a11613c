import type { PrivateFolder } from "../keys/private-folder.ts";
import { openSshAuthority } from "../keys/ssh-authority-file.ts";
import { judgeSessionKeys } from "./judge-session-keys.ts";
import { type CertifiedLogins, ownLoginUnlessRoot, SessionKeys, type SessionKeysOptions } from "./session-keys.ts";

interface Surroundings extends Pick<SessionKeysOptions, "random" | "device" | "policy" | "now" | "overLoopback"> {
  readonly suite: Parameters<typeof openSshAuthority>[0] & SessionKeysOptions["suite"];
  readonly folder: PrivateFolder;
  /** A line for people. */
  readonly tell: (line: string) => void;
}

/** What certifies keys of sessions for these logins, if it is asked for; says so at once when it would certify none of them. */
export async function openSessionKeys(
  logins: CertifiedLogins | undefined,
  { folder, tell, ...surroundings }: Surroundings,
): Promise<SessionKeys | undefined> {
  if (logins === undefined) return undefined;
  const onlyLogin = ownLoginUnlessRoot();
  const { suite, random, policy } = surroundings;
  const hasPolicy = (await policy.current()) !== undefined;
  // The SSH server may change while this runs; of it `sshnpd check` tells.
  const { isFine, text, next } = judgeSessionKeys(logins, { onlyLogin, hasPolicy, server: "", refusals: new Map() });
  if (!isFine) tell(`--session-keys: ${text}. ${next ?? ""}`);
  const authority = await openSshAuthority(suite, folder, random);
  return new SessionKeys({ ...surroundings, logins, onlyLogin, authority, wallClock: Date.now });
}
