import { Command } from "commander";
import { base64 } from "../../../keys/bytes.ts";
import type { CipherSuite } from "../../../keys/cipher-suite.ts";
import { Ed25519PublicKey } from "../../../keys/ed25519.ts";
import { SshnpError } from "../../../keys/errors.ts";
import { isoTime } from "../../../keys/iso-time.ts";
import { keyListFileSchema } from "../../../keys/key-list-files.ts";
import { listSeenLogs, type SeenLog } from "../../../keys/log-files.ts";
import { parseFingerprint } from "../../../keys/openssh.ts";
import { printData } from "../../../keys/print-data.ts";
import { printableJson } from "../../../keys/printable-json.ts";
import type { PrivateFolder } from "../../../keys/private-folder.ts";
import { signedTextFromJson } from "../../../keys/signed-text.ts";
import { listState, readState } from "../../../keys/state-files.ts";
import { verifyKeyList } from "../../../protocol/key-list.ts";
import { PENDING_CHECKPOINT_MS } from "../../../protocol/limits.ts";
import { printVerifierKey } from "../../../protocol/log/note.ts";
import { loadSuite } from "../../../protocol/suite/load.ts";
import { type FolderOption, openKeysFolder, withFolderOption } from "./keys-folder.ts";
import { say } from "./say.ts";

interface EvidenceOptions extends FolderOption {
  readonly json?: boolean;
}

/** `onFound`: told that there is some, which is another exit status. */
export function evidenceCommand(onFound: () => void): Command {
  return withFolderOption(new Command("evidence"))
    .summary("show what proves that a directory's log lies")
    .description(
      "Show the signed checkpoints that this machine keeps because no honest log signs both, and those of peers that a " +
        "directory has not proved for a day. Exit status: 0 there is nothing, 1 there is.",
    )
    .option("--json", "print it as JSON")
    .action((options: EvidenceOptions) => show(options, onFound));
}

/** Two notes that were signed by one log for one size, and the log's verifier key where it is known. */
interface Evidence {
  readonly directory: string;
  readonly found: string;
  readonly logKey: string | null;
  readonly notes: readonly [string, string];
}

interface Unproved {
  readonly directory: string;
  readonly since: string;
  readonly checkpoint: string;
  readonly newest: string | null;
}

async function show({ json = false, ...options }: EvidenceOptions, onFound: () => void): Promise<void> {
  const folder = await openKeysFolder(options);
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const evidence: Evidence[] = [];
  const unproved: Unproved[] = [];
  for (const seen of await listSeenLogs(folder)) {
    const { directory } = seen;
    const logKey = (await logKeyOf(suite, folder, directory)) ?? null;
    for (const { found, notes } of seen.evidence) evidence.push({ directory, found: isoTime(found), logKey, notes });
    unproved.push(...late(seen, Date.now()));
  }
  if (evidence.length + unproved.length > 0) onFound();
  if (json) return await printData(printableJson({ evidence, unproved }));
  if (evidence.length + unproved.length === 0) return say("there is no evidence that a directory's log lies.");
  await printData([...evidence.map(evidenceText), ...unproved.map(unprovedText)].join("\n"));
}

function late({ directory, pending = [], checkpoint: newest }: SeenLog, now: number): Unproved[] {
  return pending
    .filter(({ since }) => now - since >= PENDING_CHECKPOINT_MS)
    .map(({ since, checkpoint }) => ({ directory, since: isoTime(since), checkpoint, newest }));
}

function evidenceText({ directory, found, logKey, notes: [one, other] }: Evidence): string {
  const size = printed(one.split("\n")[1] ?? "");
  return `The log of the directory ${directory} has signed two different trees of ${size} entries (found ${found}).
Who runs it, or has its log key, has shown one history to some and another to others. Trust nothing that it says from here
on, and hand both notes to whoever else uses it.

Note 1:
${indented(one)}
Note 2:
${indented(other)}
To check it, nobody need believe this machine. ${logKey === null ? "The log's key is in the directory's signed key list (GET /v1/keys)." : `The log's verifier key (C2SP signed-note) is ${logKey}`}
Put the first three lines of each note, with their newlines, into note.txt; the last 64 bytes of the base64 on the log's own
signature line into note.sig; and the key, as "openssl pkey -pubin" reads it, into log.pem:
  ${logKey === null ? "" : `echo ${pemBody(logKey)} | base64 -d | openssl pkey -pubin -inform DER -out log.pem\n  `}openssl pkeyutl -verify -pubin -inkey log.pem -rawin -in note.txt -sigfile note.sig
Both verify, the size is one, and the third lines differ: no log that keeps one history signs that.
`;
}

function unprovedText({ directory, since, checkpoint, newest }: Unproved): string {
  return `The log of the directory ${directory} has not been proved, since ${since}, to continue a checkpoint that a peer has seen.
It may be showing two histories, it does not serve /v1/log/ to this machine, or no session here has lasted until it was proved:
sshnp -v says which. Then ask whoever runs it.

The peer's:
${indented(checkpoint)}
This machine's newest:
${indented(newest ?? "none\n")}`;
}

/** The key list that this machine keeps of that directory says which key its log has. */
async function logKeyOf(suite: CipherSuite, folder: PrivateFolder, directory: string): Promise<string | undefined> {
  for (const file of await listState(folder)) {
    if (!file.startsWith("directory.")) continue;
    try {
      const stored = await readState(folder, file, keyListFileSchema);
      if (stored === undefined) continue;
      const { list } = verifyKeyList(suite, signedTextFromJson(stored.keyList), parseFingerprint(directory));
      return printVerifierKey(suite, { name: list.origin, type: "ed25519", publicKey: list.log });
    } catch (error) {
      if (!(error instanceof SshnpError)) throw error; // another directory's, or damaged: it is only a hint
    }
  }
  return undefined;
}

/** SubjectPublicKeyInfo of RFC 8410 in base64, from a verifier key. */
function pemBody(logKey: string): string {
  const key = Ed25519PublicKey.parse(Buffer.from(logKey.split("+").slice(2).join("+"), "base64").subarray(1));
  return base64(Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key.bytes]));
}

function indented(note: string): string {
  return note
    .trimEnd()
    .split("\n")
    .map((line) => `  ${printed(line)}\n`)
    .join("");
}

/** Notes have an em dash ahead of each signature; whatever else is no printable ASCII is not for a terminal. */
function printed(line: string): string {
  return line.replace(/[^ -~—]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
