import type { PublicKeyAuthContext } from "ssh2";
import { SshnpError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { type PublicKeyLine, parsePublicKeyBlob } from "../../keys/openssh.ts";
import type { Log } from "../log.ts";
import { BUILTIN_TRIES } from "../../protocol/limits.ts";
import { findAuthorizedKey } from "./authorized-key-files.ts";
import type { Visitor } from "./environment.ts";
import { ALL_RIGHTS, type KeyRights } from "./key-rights.ts";
import { type LoginAccount, loginAccount } from "./login-account.ts";
import { type Connection, utils } from "./ssh2.ts";
import { isSignedByToken, TOKEN_KEY } from "./token-signature.ts";

/** Who has logged in, and what the key permits. */
export interface Entry {
  readonly account: LoginAccount;
  readonly rights: KeyRights;
}

export interface AuthenticationOptions {
  readonly visitor: Visitor;
  /** Keys that are admitted besides those of authorized_keys, as blobs; with all rights. */
  readonly admits: ((key: Uint8Array, now: number) => boolean) | undefined;
  readonly log: Log;
  /** Ends the connection. */
  readonly breakOff: (why: string) => void;
}

/**
 * Lets a client log in by a public key and by nothing else. Resolves when it has; the caller sees to it that the wait
 * ends with the connection.
 */
export function authenticate(connection: Connection, options: AuthenticationOptions): Promise<Entry> {
  const { log, breakOff } = options;
  let tries = 0;
  return new Promise((resolve) => {
    connection.on("authentication", (context) => {
      if (++tries > BUILTIN_TRIES) return breakOff("has tried too many keys");
      if (context.method !== "publickey") return context.reject(["publickey"]);
      const answering = answer(context, options).then((entry) => entry !== undefined && resolve(entry));
      answering.catch((error: unknown) => {
        log.error({ err: error }, "a key could not be judged");
        context.reject(["publickey"]);
      });
    });
  });
}

/** Answers one question or proof; the entry when it was a proof, and holds. */
async function answer(context: PublicKeyAuthContext, options: AuthenticationOptions): Promise<Entry | undefined> {
  const { log, visitor } = options;
  const judgement = await judge(context, options);
  if ("refusal" in judgement) {
    const about = { client: `${visitor.client}/${visitor.member}`, login: quoted(context.username) };
    log.info({ ...about, reason: judgement.refusal }, "a key is not admitted");
    context.reject(["publickey"]);
    return undefined;
  }
  context.accept();
  return context.signature === undefined ? undefined : judgement;
}

/** Of RSA: SHA-1 (`ssh-rsa`) is none. */
const RSA_HASHES: ReadonlySet<string | undefined> = new Set(["sha256", "sha512"]);

type Judgement = Entry | { readonly refusal: string };

async function judge(context: PublicKeyAuthContext, { visitor, admits }: AuthenticationOptions): Promise<Judgement> {
  const { username, key, hashAlgo, signature, blob } = context;
  if (visitor.login !== "" && username !== visitor.login) {
    return { refusal: "the session was asked for with another login" };
  }
  const now = Date.now();
  const account = await loginAccount(username, now);
  if ("refusal" in account) return account;
  const line = parseKey(key.data);
  if (line === undefined || line.type !== key.algo) return { refusal: "its key is of a kind that is not taken" };
  if (line.type === "ssh-rsa" && !RSA_HASHES.has(hashAlgo)) return { refusal: "its signature would be by SHA-1" };
  const found =
    admits?.(line.blob, now) === true ? { rights: ALL_RIGHTS } : await findAuthorizedKey(account, line.blob, now);
  if ("refusal" in found) return found;
  if (signature !== undefined && !(await isSignedBy(line, blob, signature, hashAlgo))) {
    return { refusal: "the signature is not that of its key" };
  }
  return { account, rights: found.rights };
}

function parseKey(blob: Uint8Array): PublicKeyLine | undefined {
  try {
    return parsePublicKeyBlob(blob);
  } catch (error) {
    if (error instanceof SshnpError) return undefined;
    throw error;
  }
}

async function isSignedBy(
  line: PublicKeyLine,
  signed: Buffer | undefined,
  signature: Buffer,
  hash: string | undefined,
): Promise<boolean> {
  if (signed === undefined) return false;
  if (line.type === TOKEN_KEY) return await isSignedByToken(line, signed, signature);
  const key = utils.parseKey(line.line);
  if (key instanceof Error) return false;
  // What cannot be verified comes back as an Error, which is true to whoever does not look closely.
  return key.verify(signed, signature, hash) === true;
}
