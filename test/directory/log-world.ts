import { createHash } from "node:crypto";
import { join } from "node:path";
import { utf8 } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { LevelDatabase } from "../../directory/level-database.ts";
import { Log, type LogOptions } from "../../directory/log/log.ts";
import type { LogTrust } from "../../protocol/log/proof.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { random, suite } from "./world.ts";

export const ORIGIN = "sshnp-directory/test";

/** A log in a LevelDB of its own, which can be closed and opened again. */
export class LogWorld implements AsyncDisposable {
  readonly path: string;
  readonly privateKey: Ed25519PrivateKey;
  readonly #remove: () => Promise<void>;
  readonly #wrap: (database: LevelDatabase) => LogOptions["database"];
  #open: { readonly database: LevelDatabase; readonly log: Log } | undefined;

  private constructor(
    path: string,
    remove: () => Promise<void>,
    wrap: (database: LevelDatabase) => LogOptions["database"],
  ) {
    this.path = path;
    this.privateKey = Ed25519PrivateKey.generate(suite, random);
    this.#remove = remove;
    this.#wrap = wrap;
  }

  /** `wrap`: what stands between the log and its database. */
  static async start(
    wrap: (database: LevelDatabase) => LogOptions["database"] = (database) => database,
  ): Promise<LogWorld> {
    const folder = await temporaryFolder();
    const world = new LogWorld(join(folder.path, "store"), () => folder.remove(), wrap);
    await world.open();
    return world;
  }

  get database(): LevelDatabase {
    return this.#opened.database;
  }

  get log(): Log {
    return this.#opened.log;
  }

  /** What somebody believes who knows the log and no witness. */
  get trust(): LogTrust {
    return { log: { origin: ORIGIN, publicKey: this.privateKey.publicKey }, witnesses: [], needed: 0, maxAge: 0 };
  }

  async open(privateKey = this.privateKey): Promise<void> {
    const database = await LevelDatabase.open(this.path);
    try {
      const log = await Log.open({ suite, database: this.#wrap(database), privateKey, origin: ORIGIN });
      this.#open = { database, log };
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#open?.database.close();
    this.#open = undefined;
  }

  async reopen(): Promise<void> {
    await this.close();
    await this.open();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await this.#remove();
  }

  get #opened(): { readonly database: LevelDatabase; readonly log: Log } {
    if (this.#open === undefined) throw new Error("the log is closed");
    return this.#open;
  }
}

/** SHA-256 of a text, as of a statement's. */
export function textHash(text: string): Uint8Array {
  return suite.sha256(utf8(text));
}

/** MTH of RFC 6962 section 2.1, as it is written there. */
export function treeRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const [first] = leaves;
  if (first === undefined) return sha256();
  if (leaves.length === 1) return sha256(Uint8Array.of(0), first);
  let half = 1;
  while (half * 2 < leaves.length) half *= 2;
  return sha256(Uint8Array.of(1), treeRoot(leaves.slice(0, half)), treeRoot(leaves.slice(half)));
}

/** Root of the map with these entries of 32 bytes each, by its definition: every way to its end. */
export function mapRoot(entries: readonly (readonly [Uint8Array, Uint8Array])[], depth = 0): Uint8Array {
  const [first] = entries;
  if (first === undefined) return new Uint8Array(32);
  if (entries.length === 1) return sha256(Uint8Array.of(2), ...first);
  const side = (bit: number) => entries.filter(([key]) => (((key[depth >> 3] ?? 0) >> (7 - (depth & 7))) & 1) === bit);
  return sha256(Uint8Array.of(3), mapRoot(side(0), depth + 1), mapRoot(side(1), depth + 1));
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}
