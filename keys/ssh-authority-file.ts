/**
 * The key with which a device certifies the SSH keys of sessions, in `state/` of its keys folder:
 *
 * ```
 * ssh_ca        JSON: v 1, ed25519 (base64 of the 32-byte seed)
 * ssh_ca.pub    its public half as OpenSSH reads it, for TrustedUserCAKeys of sshd_config(5)
 * ```
 */
import { join } from "node:path";
import * as v from "valibot";
import { base64, equalBytes, fromBase64, utf8 } from "./bytes.ts";
import type { CipherSuite, RandomBytes } from "./cipher-suite.ts";
import { Ed25519PrivateKey } from "./ed25519.ts";
import { SetupError } from "./errors.ts";
import { printJsonFile } from "./json-file.ts";
import { ed25519Line } from "./openssh.ts";
import { PrivateFolder } from "./private-folder.ts";
import { readState } from "./state-files.ts";

export interface SshAuthority {
  readonly key: Ed25519PrivateKey;
  /** Absolute or relative as the keys folder was given. */
  readonly publicKeyPath: string;
}

/**
 * The device's own, made when there is none; both files are on disk when this returns.
 * @throws {SetupError} E_BAD_KEY_FILE when it is damaged; E_KEY_PERMISSIONS, E_STORAGE.
 */
export async function openSshAuthority(
  suite: Pick<CipherSuite, "ed25519PublicKey">,
  keys: PrivateFolder,
  random: RandomBytes,
): Promise<SshAuthority> {
  const state = await PrivateFolder.openOrCreate(join(keys.path, "state"));
  let stored = await readState(keys, FILE, schema);
  if (stored === undefined) {
    const made = printJsonFile(schema, { v: 1, ed25519: base64(random(32)) });
    await state.create(FILE, made).catch((error: unknown) => {
      if (!(error instanceof SetupError) || error.code !== "E_KEY_EXISTS") throw error; // another process was quicker
    });
    stored = await readState(keys, FILE, schema);
  }
  if (stored === undefined) throw new SetupError("E_STORAGE", `${state.pathOf(FILE)} is gone again.`);
  const key = Ed25519PrivateKey.parse(suite, fromBase64(stored.ed25519, 32));
  const line = utf8(`${ed25519Line(key.publicKey)} sshnp session keys\n`);
  const written = await state.read(PUBLIC_FILE, MAX_LINE_BYTES);
  if (written === undefined || !equalBytes(written, line)) await state.replace(PUBLIC_FILE, line);
  return { key, publicKeyPath: state.pathOf(PUBLIC_FILE) };
}

const FILE = "ssh_ca";
const PUBLIC_FILE = "ssh_ca.pub";
const MAX_LINE_BYTES = 4096;

const schema: v.GenericSchema<{ v: 1; ed25519: string }> = v.strictObject({
  v: v.literal(1),
  ed25519: v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]{43}=$/)),
});
