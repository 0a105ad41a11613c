import { setTimeout as delay } from "node:timers/promises";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { SshnpError } from "../../keys/errors.ts";
import type { DirectoryAddress } from "../../protocol/directory-address.ts";
import { verifyKeyList } from "../../protocol/key-list.ts";
import { DIRECTORY_CONNECT_MS, LOG_FILE_BYTES, LOG_FILE_TRIES } from "../../protocol/limits.ts";
import type { LogKey } from "../../protocol/log/checkpoint.ts";
import { exchange, notADirectory } from "./http-exchange.ts";
import { readKeyList, refuseExpired } from "./read-key-list.ts";

/** What everybody may read of a directory's log. */
export interface PublicLog {
  readonly key: LogKey;
  /** The file of a path below /v1/log/. @throws {UnavailableError} E_DIRECTORY, E_RATE, E_BUSY; the signal's reason. */
  readonly read: (path: string) => Promise<Uint8Array>;
}

/**
 * The log of the directory at this address. `now` in ms since 1970 UTC.
 * @throws {SecurityError} E_DIRECTORY_KEY, E_DIRECTORY_LIST; {UnavailableError} E_DIRECTORY; the signal's reason.
 */
export async function openPublicLog(
  suite: CipherSuite,
  { url, fingerprint }: DirectoryAddress,
  { now, signal, warn }: { readonly now: number; readonly signal: AbortSignal; readonly warn: (text: string) => void },
): Promise<PublicLog> {
  const signed = await readKeyList(url, { signal, isBackground: false, warn });
  const { list } = verifyKeyList(suite, signed, fingerprint);
  refuseExpired(list.expires, now);
  return {
    key: { origin: list.origin, publicKey: list.log },
    read: (path) => patiently(signal, () => readFile(path)),
  };

  async function readFile(path: string): Promise<Uint8Array> {
    const whole = AbortSignal.any([signal, AbortSignal.timeout(DIRECTORY_CONNECT_MS)]);
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of exchange({ base: url, route: `/v1/log/${path}`, signal: whole, warn })) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > LOG_FILE_BYTES) throw notADirectory(url, "too long a file of its log");
    }
    return Buffer.concat(chunks);
  }
}

/** A long log takes more requests than an address has at once. */
async function patiently<T>(signal: AbortSignal, action: () => Promise<T>): Promise<T> {
  for (let left = LOG_FILE_TRIES; ; left--) {
    try {
      return await action();
    } catch (error) {
      if (left === 0 || !(error instanceof SshnpError) || error.code !== "E_RATE") throw error;
    }
    await delay(1000, undefined, { signal }).catch(() => {});
    signal.throwIfAborted();
  }
}
