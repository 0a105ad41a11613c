import * as v from "valibot";
import { parseJsonFile, printJsonFile } from "../keys/json-file.ts";
import { SshnpError } from "../keys/errors.ts";
import { type PublicKeyLine, parsePublicKeyBlob, parsePublicKeyLine } from "../keys/openssh.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import { HOST_KEYS, SSH_KEY_BYTES } from "../protocol/limits.ts";

/** The host keys that a client was led to last, and which server has them: by its word in auto-server.ts. */
export interface ToldHostKeys {
  readonly server: string;
  readonly hostKeys: readonly PublicKeyLine[];
}

const schema = v.strictObject({
  v: v.literal(1),
  server: v.pipe(v.string(), v.maxLength(32)),
  hostKeys: v.pipe(v.array(v.string()), v.maxLength(HOST_KEYS)),
});

/** What a file of {@link printToldHostKeys} says; undefined for anything else, which is then as good as none. */
export function parseToldHostKeys(bytes: Uint8Array): ToldHostKeys | undefined {
  const json = parseJsonFile(schema, bytes);
  if (json === undefined) return undefined;
  try {
    const hostKeys = json.hostKeys.map((line) => parsePublicKeyLine(line));
    return hostKeys.every(({ line }, i) => line === json.hostKeys[i]) ? { server: json.server, hostKeys } : undefined;
  } catch (error) {
    if (error instanceof SshnpError) return undefined;
    throw error;
  }
}

/** @throws {SetupError} as files of keys do. */
export async function readToldHostKeys(state: PrivateFolder, member: string): Promise<ToldHostKeys | undefined> {
  const bytes = await state.read(fileOf(member), MAX_BYTES);
  return bytes === undefined ? undefined : parseToldHostKeys(bytes);
}

export async function writeToldHostKeys(state: PrivateFolder, member: string, told: ToldHostKeys): Promise<void> {
  await state.replace(fileOf(member), printToldHostKeys(told));
}

export function printToldHostKeys({ server, hostKeys }: ToldHostKeys): Uint8Array {
  return printJsonFile(schema, { v: 1, server, hostKeys: hostKeys.map(({ line }) => line) });
}

/**
 * Whether clients that have pinned `told` go on without a word when they are led to a server that presents `presented`: no
 * key has changed of a type that they know, and one at least is the same (protocol/host-keys.ts).
 */
export function keepsPins(told: ToldHostKeys["hostKeys"], presented: readonly Uint8Array[]): boolean {
  const keys = presented.map((blob) => parsePublicKeyBlob(blob));
  const isTold = ({ line }: PublicKeyLine): boolean => told.some((known) => known.line === line);
  return keys.some(isTold) && keys.every((key) => isTold(key) || !told.some(({ type }) => type === key.type));
}

const fileOf = (member: string): string => `told-host-keys.${member}.json`;
/** In base64, with room for the rest. */
const MAX_BYTES = HOST_KEYS * SSH_KEY_BYTES * 2;
