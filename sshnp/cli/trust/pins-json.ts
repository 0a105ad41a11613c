import { fingerprintWords } from "../../../keys/fingerprint-words.ts";
import { isoTime } from "../../../keys/iso-time.ts";
import { printableJson } from "../../../keys/printable-json.ts";
import type { PinnedKey } from "../../pinned-keys.ts";

/** What `--json` prints: an array with an object for each key, in the order of the lines without it. docs/trust.md has the fields. */
export async function pinsJson(keys: readonly PinnedKey[]): Promise<string> {
  const rows = keys.map(async ({ name, host, what, fingerprint, origin, since }) => ({
    name,
    host: host ?? null,
    what,
    fingerprint,
    words: await fingerprintWords(fingerprint),
    origin: origin ?? null,
    since: since === undefined ? null : isoTime(since),
  }));
  return printableJson(await Promise.all(rows));
}
