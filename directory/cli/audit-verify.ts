import { open, readFile, rename, writeFile } from "node:fs/promises";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { fromBase64 } from "../../keys/bytes.ts";
import { SecurityError, SetupError, SshnpError, UnavailableError } from "../../keys/errors.ts";
import { interruption } from "../../keys/interruption.ts";
import { quoted } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { printData } from "../../keys/print-data.ts";
import { readDirectoryKeys } from "../../keys/service-key-files.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { AUDIT_FILES, NOTE_BYTES } from "../../protocol/limits.ts";
import { type LogKey, openCheckpoint, type SignedCheckpoint } from "../../protocol/log/checkpoint.ts";
import { witnessTimes } from "../../protocol/log/cosignature.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { connectAdministration } from "../admin-socket.ts";
import { AUDIT_FILE } from "../audit.ts";
import { firstOf, filesInOrder } from "../audit/file-order.ts";
import { LogCopy, type LogSource } from "../audit/log-copy.ts";
import { logOfStore, servedLog } from "../audit/log-sources.ts";
import { linesOf } from "../audit/read-lines.ts";
import { type AuditReport, AuditVerifier, demandLater } from "../audit/verify.ts";
import { openPublicLog } from "../client/public-log.ts";
import { readWitnessDemand } from "../client/witness-demand.ts";
import { openDataFolder, openStore } from "../data-folder.ts";
import { originOf } from "../keyring.ts";
import { Log } from "../log/log.ts";
import { refuseUnfilledStore } from "../log/unfilled-store.ts";
import type { VerifyOptions } from "./audit-options.ts";

/** A log to verify against. */
interface TrustedLog extends AsyncDisposable {
  readonly source: LogSource;
  readonly key: LogKey;
}

/** Verifies audit files against a log, and prints what was found. @throws {SecurityError} E_AUDIT, E_LOG, E_WITNESS; {SetupError}, {UnavailableError}. */
export async function verify(files: readonly string[], options: VerifyOptions): Promise<void> {
  const signal = interruption("Run the command again.");
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const demand = readWitnessDemand(suite, options);
  const paths = files.length > 0 ? files : [(await dataFolder(options)).pathOf(AUDIT_FILE)];
  if (paths.length > AUDIT_FILES) throw usage(`More than ${AUDIT_FILES} files are too many.`, "Verify them in parts.");
  await using log =
    options.directory === undefined
      ? await logOfFolder(suite, options, signal)
      : await logAt(suite, options.directory, signal);
  const seen = options.checkpoint === undefined ? undefined : await readSeen(suite, options.checkpoint, log.key);
  // The log first: the lines that come later speak of all that it has now.
  const copy = await LogCopy.read(suite, log.source, { seen, signal });
  if (demand !== undefined) demandWitnesses(suite, copy.checkpoint, demand);
  const logSize = parseLogSize(options.logSize, copy.checkpoint.size);
  const verifier = new AuditVerifier(suite, copy, { logSize, areOthersAllowed: options.otherDirectories ?? false });
  for (const path of await ordered(paths)) {
    signal.throwIfAborted();
    await readInto(verifier, path, signal);
  }
  const report = verifier.finish();
  if (verifier.later.length > 0) await demandByNow(suite, log, copy, { verifier, signal });
  if (options.checkpoint !== undefined) await keepSeen(options.checkpoint, copy.checkpoint);
  await printData(printed(report, verifier.later.length));
  tell(report, { isSeen: seen !== undefined || demand !== undefined, file: options.checkpoint });
}

async function demandByNow(
  suite: CipherSuite,
  log: TrustedLog,
  copy: LogCopy,
  { verifier, signal }: { readonly verifier: AuditVerifier; readonly signal: AbortSignal },
): Promise<void> {
  const isKnown = verifier.later.every(({ index }) => index < copy.checkpoint.size);
  const newest = isKnown ? copy : await LogCopy.read(suite, log.source, { seen: copy.checkpoint, signal });
  demandLater(newest, verifier.later);
}

async function readInto(verifier: AuditVerifier, path: string, signal: AbortSignal): Promise<void> {
  const name = path === "-" ? "stdin" : path;
  const file = path === "-" ? undefined : await openFile(path);
  const chunks: AsyncIterable<unknown> = file?.createReadStream() ?? process.stdin;
  for await (const line of linesOf(chunks)) {
    verifier.take(name, line);
    if (line.number % 1000 === 0) signal.throwIfAborted();
  }
  verifier.endFile();
}

/** By the lines with which they begin. */
async function ordered(paths: readonly string[]): Promise<string[]> {
  if (paths.includes("-")) {
    if (paths.length === 1) return ["-"];
    throw usage("Standard input can only be verified alone.", "Name files.");
  }
  const found = [];
  for (const path of paths) {
    const file = await openFile(path);
    found.push({ path, first: await firstOf(linesOf(file.createReadStream())) });
  }
  return filesInOrder(found);
}

async function openFile(path: string): ReturnType<typeof open> {
  try {
    return await open(path, "r");
  } catch (cause) {
    throw usage(`Cannot read ${shellWord(path)}.`, "Check its path and mode.", cause);
  }
}

/** The log of a data folder, by the process that serves it if there is one. */
async function logOfFolder(suite: CipherSuite, options: VerifyOptions, signal: AbortSignal): Promise<TrustedLog> {
  const folder = await dataFolder(options);
  const place = options.keys === undefined ? folder : await PrivateFolder.open(options.keys);
  const keys = place && (await readDirectoryKeys(suite, place));
  if (keys === undefined) throw noKeys(options.keys ?? folder.path);
  const key = { origin: originOf(suite, keys), publicKey: keys.log.publicKey };
  const served = options.store === undefined ? await connectAdministration(folder) : undefined;
  if ((await served?.logFile("checkpoint")) !== undefined) {
    const read = (path: string): Promise<Uint8Array> => readServed(folder, path);
    return { key, source: servedLog(suite, key, read), [Symbol.asyncDispose]: async () => {} };
  }
  const store = await openStore(folder, { url: options.store, signal });
  try {
    await refuseUnfilledStore(store.database, [folder]);
    const log = await Log.open({ suite, database: store.database, privateKey: keys.log, origin: key.origin });
    return { key, source: logOfStore(log), [Symbol.asyncDispose]: () => store.close() };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function readServed(folder: PrivateFolder, path: string): Promise<Uint8Array> {
  const file = await (await connectAdministration(folder))?.logFile(path);
  if (file !== undefined) return fromBase64(file);
  throw new UnavailableError("E_DIRECTORY", `The directory that serves ${shellWord(folder.path)} has ended.`, {
    next: "Run this again.",
  });
}

async function logAt(suite: CipherSuite, address: string, signal: AbortSignal): Promise<TrustedLog> {
  const warn = (text: string): void => void process.stderr.write(`${text}\n`);
  const { key, read } = await openPublicLog(suite, parseDirectoryAddress(address), { now: Date.now(), signal, warn });
  return { key, source: servedLog(suite, key, read), [Symbol.asyncDispose]: async () => {} };
}

async function dataFolder({ data }: VerifyOptions): Promise<PrivateFolder> {
  if (data === undefined)
    throw usage("What is to be verified?", "Name a data folder (--data DIR), or files and --directory ADDRESS.");
  return await openDataFolder(data);
}

/** What was seen before; undefined: nothing yet. */
async function readSeen(suite: CipherSuite, file: string, key: LogKey): Promise<SignedCheckpoint | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw usage(`Cannot read ${shellWord(file)}.`, "Check its path and mode.", cause);
  }
  try {
    return openCheckpoint(suite, text.slice(0, NOTE_BYTES), key);
  } catch (cause) {
    if (!(cause instanceof SshnpError)) throw cause;
    throw new SecurityError("E_LOG", `${shellWord(file)} is no checkpoint of this directory's log.`, {
      next: "Either that file or the directory is another one than you think.",
      cause,
    });
  }
}

async function keepSeen(file: string, { text }: SignedCheckpoint): Promise<void> {
  try {
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
  } catch (cause) {
    throw new SetupError("E_STORAGE", `Cannot write ${shellWord(file)}.`, {
      next: "Check the folder's owner and the free space.",
      cause,
    });
  }
}

function demandWitnesses(
  suite: CipherSuite,
  checkpoint: SignedCheckpoint,
  { witnesses, needed, maxAge }: NonNullable<ReturnType<typeof readWitnessDemand>>,
): void {
  const times = witnessTimes(suite, checkpoint, witnesses);
  const time = times[needed - 1];
  if (time !== undefined && time >= Date.now() - maxAge) return;
  const fact =
    time === undefined
      ? `${times.length} of the ${needed} witnesses that are demanded have cosigned the log.`
      : "The witnesses have cosigned the log too long ago.";
  throw new SecurityError("E_WITNESS", fact, {
    next: "sshnp-directory witness ls tells why; ask whoever runs the directory.",
  });
}

function parseLogSize(text: string | undefined, size: number): number {
  if (text === undefined) return size;
  if (/^[1-9][0-9]{0,15}$/.test(text) && Number(text) <= size) return Number(text);
  throw usage(
    `The log has ${size} entries, and not ${quoted(text)}.`,
    "--log-size is the size that an earlier export or verification has said.",
  );
}

function printed({ directories, logSize, statements }: AuditReport, later: number): string {
  const lines = directories.map(
    ({ directory, first, last, anchored, time }) =>
      `directory ${directory}: lines ${first} to ${last} (${time}), held by the log up to line ${anchored.line} (entry ${anchored.index})\n`,
  );
  const beyond = later === 0 ? "" : `, ${later} newer`;
  return `${lines.join("")}log: ${logSize} entries, ${statements} statements with their lines${beyond}\n`;
}

function tell(
  { directories, torn, before, unseen }: AuditReport,
  { isSeen, file }: { readonly isSeen: boolean; readonly file: string | undefined },
): void {
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  for (const { directory, first, last, anchored } of directories) {
    if (first > 1) say(`Lines before line ${first} of directory ${directory} are not here.`);
    if (anchored.line < first) say("They are in another file: give it, too. Of the lines here the log holds none yet.");
    if (last > anchored.line + 1) {
      say(
        `Lines after line ${anchored.line} of directory ${directory} are not in the log yet: whether more were cut off behind them cannot be told.`,
      );
    }
  }
  for (const place of torn)
    say(`${quoted(place)} ends in the middle of a line, as a process leaves it that was killed.`);
  if (before > 0) say(`${before} lines are older than the chain: nothing proves them.`);
  if (unseen > 0)
    say(
      `${unseen} statements in the log have no line here: they are of other directories, or their lines were removed.`,
    );
  if (!isSeen) {
    say(
      file === undefined
        ? "The log itself was believed: keep a --checkpoint, or demand a --witness, to know that it was not replaced."
        : `The log was seen for the first time; ${shellWord(file)} remembers it.`,
    );
  }
}

function usage(fact: string, next: string, cause?: unknown): SetupError {
  return new SetupError("E_USAGE", fact, cause === undefined ? { next } : { next, cause });
}

function noKeys(path: string): SetupError {
  return new SetupError("E_NO_KEYS", `There are no keys of a directory in ${shellWord(path)}.`, {
    next: "Name the folder with which it runs: --data FOLDER   Are its keys in another one? Name that, too: --keys FOLDER",
  });
}
