/**
 * The private keys of the services, each set one file in the service's data folder, never in a database.
 *
 * ```
 * directory-keys.json     v, kind "directory", root, sealing [{x25519, notAfter}], ticket [{ed25519, notAfter}], log
 * rendezvous-keys.json    v, kind "rendezvous", x25519, ed25519
 * witness-key.json        v, kind "witness", ed25519
 * ```
 * Private keys are base64 of 32 B, times are milliseconds since 1970 UTC.
 */
import * as v from "valibot";
import { base64, fromBase64 } from "./bytes.ts";
import type { CipherSuite, RandomBytes } from "./cipher-suite.ts";
import { Ed25519PrivateKey } from "./ed25519.ts";
import { SetupError } from "./errors.ts";
import { parseJsonFile, printJsonFile } from "./json-file.ts";
import type { PrivateFolder } from "./private-folder.ts";
import { shellWord } from "./shell-word.ts";
import { X25519PrivateKey } from "./x25519.ts";

export interface DirectoryKeys {
  /** Signs the key list and rendezvous statements. Its fingerprint is the directory's address: it never changes. */
  readonly root: Ed25519PrivateKey;
  /** What messages are sealed to: the current key, then perhaps the one before it. */
  readonly sealing: readonly SealingKey[];
  /** What tickets are signed with: the current key, then perhaps the one before it. */
  readonly ticket: readonly TicketKey[];
  /** Signs the log's checkpoints. */
  readonly log: Ed25519PrivateKey;
}

export interface SealingKey {
  readonly x25519: X25519PrivateKey;
  /** ms; from then on the key is used no more, and the next rotation deletes it. */
  readonly notAfter: number;
}

export interface TicketKey {
  readonly ed25519: Ed25519PrivateKey;
  /** ms; from then on the key is used no more, and the next rotation deletes it. */
  readonly notAfter: number;
}

export interface RendezvousKeys {
  readonly x25519: X25519PrivateKey;
  readonly ed25519: Ed25519PrivateKey;
}

interface DirectoryKeysJson {
  v: 1;
  kind: "directory";
  root: string;
  sealing: { x25519: string; notAfter: number }[];
  ticket: { ed25519: string; notAfter: number }[];
  log: string;
}

interface RendezvousKeysJson {
  v: 1;
  kind: "rendezvous";
  x25519: string;
  ed25519: string;
}

interface WitnessKeyJson {
  v: 1;
  kind: "witness";
  ed25519: string;
}

/** Where new keys come from, and when (ms). */
export interface Making {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly now: number;
}

/** Makes and writes the first keys. @throws {SetupError} E_KEY_EXISTS, E_STORAGE. */
export async function createDirectoryKeys(folder: PrivateFolder, making: Making): Promise<DirectoryKeys> {
  const keys: DirectoryKeys = {
    root: Ed25519PrivateKey.generate(making.suite, making.random),
    sealing: [newSealingKey(making)],
    ticket: [newTicketKey(making)],
    log: Ed25519PrivateKey.generate(making.suite, making.random),
  };
  await folder.create(DIRECTORY_FILE, printDirectoryKeys(keys));
  return keys;
}

/** The keys, or undefined before the first start. @throws {SetupError} E_BAD_KEY_FILE, E_KEY_PERMISSIONS, E_STORAGE. */
export async function readDirectoryKeys(suite: CipherSuite, folder: PrivateFolder): Promise<DirectoryKeys | undefined> {
  const json = await read(folder, DIRECTORY_FILE, directoryKeysSchema);
  return (
    json && {
      root: ed25519Key(suite, json.root),
      sealing: json.sealing.map(({ x25519, notAfter }) => ({ x25519: x25519Key(suite, x25519), notAfter })),
      ticket: json.ticket.map(({ ed25519, notAfter }) => ({ ed25519: ed25519Key(suite, ed25519), notAfter })),
      log: ed25519Key(suite, json.log),
    }
  );
}

/** When (ms) the sealing and ticket keys are to be rotated: a week after the current ones were made. */
export function rotationDue(keys: DirectoryKeys): number {
  return rotatedAt(keys) + ROTATION_MS;
}

/** When (ms) the current sealing and ticket keys were made. */
export function rotatedAt({ sealing, ticket }: DirectoryKeys): number {
  const ends = [sealing[0]?.notAfter ?? 0, ticket[0]?.notAfter ?? 0];
  return Math.min(...ends) - 2 * ROTATION_MS;
}

/**
 * Puts new sealing and ticket keys before the current ones; those from before, and what is past its end, are deleted.
 * They are gone from disk when this returns: one-way sealing has no other forward secrecy. @throws {SetupError} E_STORAGE.
 */
export async function rotateDirectoryKeys(
  folder: PrivateFolder,
  keys: DirectoryKeys,
  making: Making,
): Promise<DirectoryKeys> {
  const isUsable = ({ notAfter }: { readonly notAfter: number }) => making.now < notAfter;
  const rotated: DirectoryKeys = {
    ...keys,
    sealing: [newSealingKey(making), ...keys.sealing.slice(0, 1).filter(isUsable)],
    ticket: [newTicketKey(making), ...keys.ticket.slice(0, 1).filter(isUsable)],
  };
  // A process that was stopped for a while must not undo what another has done meanwhile: nobody could open what that one was sent.
  const [before] = keys.sealing;
  const isStill = (bytes: Uint8Array): boolean =>
    parseJsonFile(directoryKeysSchema, bytes)?.sealing[0]?.x25519 === (before && secretOf(before.x25519));
  if (await folder.replaceIf(DIRECTORY_FILE, isStill, printDirectoryKeys(rotated))) return rotated;
  return (await readDirectoryKeys(making.suite, folder)) ?? keys;
}

/** Makes and writes the keys of a rendezvous. @throws {SetupError} E_KEY_EXISTS, E_STORAGE. */
export async function createRendezvousKeys(
  folder: PrivateFolder,
  making: Omit<Making, "now">,
): Promise<RendezvousKeys> {
  const x25519 = X25519PrivateKey.generate(making.suite, making.random);
  const ed25519 = Ed25519PrivateKey.generate(making.suite, making.random);
  const json = { v: 1, kind: "rendezvous", x25519: secretOf(x25519), ed25519: secretOf(ed25519) } as const;
  await folder.create(RENDEZVOUS_FILE, printJsonFile(rendezvousKeysSchema, json));
  return { x25519, ed25519 };
}

/** The keys, or undefined before the first start. @throws {SetupError} E_BAD_KEY_FILE, E_KEY_PERMISSIONS, E_STORAGE. */
export async function readRendezvousKeys(
  suite: CipherSuite,
  folder: PrivateFolder,
): Promise<RendezvousKeys | undefined> {
  const json = await read(folder, RENDEZVOUS_FILE, rendezvousKeysSchema);
  return json && { x25519: x25519Key(suite, json.x25519), ed25519: ed25519Key(suite, json.ed25519) };
}

/** The key of a witness, made and written at the first time. @throws {SetupError} E_BAD_KEY_FILE, E_KEY_PERMISSIONS, E_KEY_EXISTS, E_STORAGE. */
export async function openWitnessKey(
  folder: PrivateFolder,
  { suite, random }: Omit<Making, "now">,
): Promise<Ed25519PrivateKey> {
  const json = await read(folder, WITNESS_FILE, witnessKeySchema);
  if (json !== undefined) return ed25519Key(suite, json.ed25519);
  const made = Ed25519PrivateKey.generate(suite, random);
  const file = { v: 1, kind: "witness", ed25519: secretOf(made) } as const;
  await folder.create(WITNESS_FILE, printJsonFile(witnessKeySchema, file));
  return made;
}

const DIRECTORY_FILE = "directory-keys.json";
const RENDEZVOUS_FILE = "rendezvous-keys.json";
const WITNESS_FILE = "witness-key.json";
/** A key is current for a week and previous for another, so that an end which was away for days needs no second try. */
const ROTATION_MS = 7 * 24 * 60 * 60_000;
/** Six keys with their field names take below 1 KiB. */
const MAX_SERVICE_FILE_BYTES = 8 * 1024;

const key = v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/));
const notAfter = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const currentAndPrevious = <Entry extends v.GenericSchema>(entry: Entry) =>
  v.pipe(v.array(entry), v.minLength(1), v.maxLength(2));

export const directoryKeysSchema: v.GenericSchema<DirectoryKeysJson> = v.strictObject({
  v: v.literal(1),
  kind: v.literal("directory"),
  root: key,
  sealing: currentAndPrevious(v.strictObject({ x25519: key, notAfter })),
  ticket: currentAndPrevious(v.strictObject({ ed25519: key, notAfter })),
  log: key,
});

export const rendezvousKeysSchema: v.GenericSchema<RendezvousKeysJson> = v.strictObject({
  v: v.literal(1),
  kind: v.literal("rendezvous"),
  x25519: key,
  ed25519: key,
});

export const witnessKeySchema: v.GenericSchema<WitnessKeyJson> = v.strictObject({
  v: v.literal(1),
  kind: v.literal("witness"),
  ed25519: key,
});

function printDirectoryKeys({ root, sealing, ticket, log }: DirectoryKeys): Uint8Array {
  return printJsonFile(directoryKeysSchema, {
    v: 1,
    kind: "directory",
    root: secretOf(root),
    sealing: sealing.map((entry) => ({ x25519: secretOf(entry.x25519), notAfter: entry.notAfter })),
    ticket: ticket.map((entry) => ({ ed25519: secretOf(entry.ed25519), notAfter: entry.notAfter })),
    log: secretOf(log),
  });
}

function newSealingKey({ suite, random, now }: Making): SealingKey {
  return { x25519: X25519PrivateKey.generate(suite, random), notAfter: now + 2 * ROTATION_MS };
}

function newTicketKey({ suite, random, now }: Making): TicketKey {
  return { ed25519: Ed25519PrivateKey.generate(suite, random), notAfter: now + 2 * ROTATION_MS };
}

async function read<T>(folder: PrivateFolder, file: string, schema: v.GenericSchema<T>): Promise<T | undefined> {
  const bytes = await folder.read(file, MAX_SERVICE_FILE_BYTES);
  if (bytes === undefined) return undefined;
  const json = parseJsonFile(schema, bytes);
  if (json === undefined) {
    throw new SetupError("E_BAD_KEY_FILE", `${shellWord(folder.pathOf(file))} is damaged.`, {
      next: "Restore it from a backup of the data folder.",
    });
  }
  return json;
}

function secretOf(privateKey: Ed25519PrivateKey | X25519PrivateKey): string {
  return base64(privateKey.secretBytes());
}

function ed25519Key(suite: CipherSuite, secret: string): Ed25519PrivateKey {
  return Ed25519PrivateKey.parse(suite, fromBase64(secret, 32));
}

function x25519Key(suite: CipherSuite, secret: string): X25519PrivateKey {
  return X25519PrivateKey.parse(suite, fromBase64(secret, 32));
}
