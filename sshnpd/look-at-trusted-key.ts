import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { findProgram } from "./programs.ts";
import type { CertifiedLogins } from "./session-keys.ts";
import { readSshdConfiguration } from "./sshd-configuration.ts";

/**
 * Whether the configuration of the SSH server on `port` takes the certificates that are made with the key in `keys`, for each of
 * these logins; `not seen`: this user is not told, or it is not the system's sshd. `words`: further ones for sshd.
 */
export async function lookAtTrustedKey(
  logins: CertifiedLogins,
  { keys, port, words = [] }: { readonly keys: string; readonly port: number; readonly words?: readonly string[] },
  signal: AbortSignal,
): Promise<"told" | "not told" | "not seen"> {
  const program = await findProgram("sshd");
  if (program === undefined) return "not seen";
  const own = await keyIn(join(keys, "state", "ssh_ca.pub"));
  // A Match may be for some logins alone, and which ones a policy names is not asked here.
  const asked = logins === "any" ? [[]] : [...logins].map((login) => ["-C", `user=${login},${FROM_HERE}`]);
  for (const match of asked) {
    const found = await readSshdConfiguration(program, [...words, ...match], signal).catch(() => undefined);
    signal.throwIfAborted();
    if (found === undefined || typeof found === "string") return "not seen";
    const listens = [...(found.get("port") ?? []), ...(found.get("listenaddress") ?? [])];
    if (!listens.some((place) => place.split(":").at(-1) === String(port))) return "not seen";
    const [path = "none"] = found.get("trustedusercakeys") ?? [];
    const text = path === "none" ? "" : await readFile(path, "utf8").catch(() => "");
    if (own === undefined || !text.split(/\s+/).includes(own)) return logins === "any" ? "not seen" : "not told";
  }
  return "told";
}

/** The second word of a public key's line. */
async function keyIn(path: string): Promise<string | undefined> {
  const line = await readFile(path, "utf8").catch(() => "");
  return line.split(" ")[1];
}

const FROM_HERE = "host=localhost,addr=127.0.0.1";
