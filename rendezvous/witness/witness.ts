import type { Logger } from "pino";
import { hex } from "../../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../../keys/cipher-suite.ts";
import type { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { PeerError, SetupError } from "../../keys/errors.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { openWitnessKey } from "../../keys/service-key-files.ts";
import type { KeyList } from "../../protocol/key-list.ts";
import { WITNESS_EVIDENCE, WITNESS_LOGS, WITNESS_WAITING } from "../../protocol/limits.ts";
import type { SignedCheckpoint } from "../../protocol/log/checkpoint.ts";
import { cosign, printWitness, type Witness as WitnessIdentity } from "../../protocol/log/cosignature.ts";
import {
  type AddCheckpoint,
  claimedOrigin,
  CONFLICT_TYPE,
  judgeAddCheckpoint,
  parseAddCheckpoint,
} from "../../protocol/log/witness.ts";
import { readWitnessState, type WitnessedLog, type WitnessState, writeWitnessState } from "./witness-state.ts";

export interface WitnessAnswer {
  readonly status: 200 | 400 | 403 | 404 | 409 | 422 | 503;
  readonly type: string;
  readonly body: string;
}

interface WitnessOptions {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  /** Path of the data folder; made when it is missing. */
  readonly data: string;
  /** ms since 1970 UTC. */
  readonly now: () => number;
  readonly log: Logger;
}

/**
 * A witness of the logs of some directories: it cosigns what continues the checkpoint that it has cosigned before, which is
 * on disk ahead of each answer, so that no crash lets it cosign two histories.
 */
export class Witness {
  readonly identity: WitnessIdentity;
  readonly #options: WitnessOptions;
  readonly #folder: PrivateFolder;
  readonly #key: Ed25519PrivateKey;
  #state: WitnessState;
  /** Keys of the logs that may be cosigned now, by origin. */
  readonly #followed = new Map<string, { readonly directory: string; readonly log: WitnessedLog["key"] }>();
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  private constructor(options: WitnessOptions, folder: PrivateFolder, key: Ed25519PrivateKey, state: WitnessState) {
    this.#options = options;
    this.#folder = folder;
    this.#key = key;
    this.#state = state;
    this.identity = witnessOf(options.suite, key);
  }

  /** @throws {SetupError} E_BAD_KEY_FILE, E_KEY_PERMISSIONS, E_STORAGE. */
  static async open(options: WitnessOptions): Promise<Witness> {
    const folder = await PrivateFolder.openOrCreate(options.data);
    const key = await openWitnessKey(folder, options);
    return new Witness(options, folder, key, await readWitnessState(options.suite, folder));
  }

  /** NAME+hash+base64, by which others know it. */
  get verifierKey(): string {
    return printWitness(this.#options.suite, this.identity);
  }

  /** Goes on with what is known of the log of the directory with this root key; its key list may not be there yet. */
  resume(directory: string): void {
    const log = this.#state.logs.findLast((known) => known.directory === directory);
    if (log !== undefined) this.#followed.set(log.key.origin, { directory, log: log.key });
  }

  /**
   * Cosigns the log that this key list of the directory names from now on.
   * @throws {SetupError} E_USAGE for more logs than a witness follows, one of the origin of another directory's, or one of
   * another origin than this directory's log had.
   */
  follow(directory: string, { origin, log }: Pick<KeyList, "origin" | "log">): void {
    const known = this.#followed.get(origin) ?? this.#state.logs.find(({ key }) => key.origin === origin);
    if (known !== undefined && known.directory !== directory) {
      throw new SetupError("E_USAGE", `Two directories say that their logs are ${JSON.stringify(origin)}.`, {
        next: "Ask whoever runs them; the first of them goes on being cosigned.",
      });
    }
    const [before] = [...this.#followed].find(([, followed]) => followed.directory === directory) ?? [];
    if ((before ?? origin) !== origin || (origin.startsWith(OWN_ORIGIN) && origin !== ownOrigin(directory))) {
      throw new SetupError(
        "E_USAGE",
        `A directory says that its log is ${JSON.stringify(origin)}, which is not its own.`,
        {
          next: "Ask whoever runs it; the log that it had goes on being cosigned.",
        },
      );
    }
    if (known === undefined && this.#followed.size >= WITNESS_LOGS) {
      throw new SetupError("E_USAGE", `A witness follows ${WITNESS_LOGS} logs at most.`, { next: "Run another one." });
    }
    this.#followed.set(origin, { directory, log: { origin, publicKey: log } });
  }

  /** The answer to the body of a request; never rejects. */
  async answer(body: string): Promise<WitnessAnswer> {
    let request: AddCheckpoint;
    try {
      request = parseAddCheckpoint(body);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      return plain(400, error.message);
    }
    if (this.#waiting >= WITNESS_WAITING) return plain(503, "too many requests at once");
    this.#waiting++;
    const turn = this.#turn.then(() => this.#judge(request));
    this.#turn = turn.catch(() => {});
    try {
      return await turn;
    } catch (error) {
      this.#options.log.error({ err: error }, "nothing is cosigned: what was cosigned last cannot be written");
      return plain(503, "the witness cannot write to its disk");
    } finally {
      this.#waiting--;
    }
  }

  async #judge(request: AddCheckpoint): Promise<WitnessAnswer> {
    const { suite, log: logger } = this.#options;
    const origin = claimedOrigin(request.checkpoint);
    const followed = this.#followed.get(origin);
    if (followed === undefined) return plain(404, "no log of this origin is known");
    const { latest } = this.#state.logs.find(({ key }) => key.origin === origin) ?? {};
    const verdict = judgeAddCheckpoint(suite, followed.log, latest, request);
    switch (verdict.status) {
      case 200:
        return await this.#cosign(followed, verdict.checkpoint);
      case 409:
        if (verdict.evidence !== undefined) await this.#keepEvidence(verdict.evidence);
        return { status: 409, type: CONFLICT_TYPE, body: `${verdict.size}\n` };
      default:
        if (verdict.isSigned)
          logger.error({ origin, checkpoint: request.checkpoint }, "a log does not prove that it only grew");
        return plain(verdict.status, verdict.reason);
    }
  }

  async #cosign(
    { directory, log: key }: { readonly directory: string; readonly log: WitnessedLog["key"] },
    checkpoint: SignedCheckpoint,
  ): Promise<WitnessAnswer> {
    const { suite, now, log } = this.#options;
    const others = this.#state.logs.filter((other) => other.key.origin !== key.origin);
    const latest = this.#state.logs.find((other) => other.key.origin === key.origin)?.latest;
    if (latest?.size !== checkpoint.size) {
      const logs = [...others, { directory, key, latest: checkpoint }];
      await this.#become({ ...this.#state, logs: this.#withinBounds(logs) });
    }
    log.info({ origin: key.origin, size: checkpoint.size }, "cosigned");
    const seconds = Math.floor(now() / 1000);
    const line = cosign(suite, this.#key, this.identity.name, checkpoint.text, seconds);
    return { status: 200, type: "text/plain; charset=utf-8", body: line };
  }

  /** Of more logs than may be kept those go that are followed no more, the ones cosigned longest ago first. */
  #withinBounds(logs: readonly WitnessedLog[]): readonly WitnessedLog[] {
    const unfollowed = logs.filter(({ key }) => !this.#followed.has(key.origin));
    const gone = new Set(unfollowed.slice(0, Math.max(0, logs.length - WITNESS_LOGS)));
    return logs.filter((log) => !gone.has(log));
  }

  async #keepEvidence(notes: readonly [string, string]): Promise<void> {
    const { now, log } = this.#options;
    log.error({ notes }, "a log has signed two different trees of one size: keep both notes, and tell its users");
    const { evidence } = this.#state;
    const isKnown = evidence.some((known) => known.notes.join() === notes.join());
    if (isKnown || evidence.length >= WITNESS_EVIDENCE) return;
    await this.#become({ ...this.#state, evidence: [...evidence, { found: now(), notes }] });
  }

  async #become(state: WitnessState): Promise<void> {
    await writeWitnessState(this.#folder, state);
    this.#state = state;
  }
}

/** The origin that a directory gives its log by its root key; a log may have another one, which is nobody's own. */
const OWN_ORIGIN = "sshnp-directory/SHA256:";

function ownOrigin(directory: string): string {
  return `sshnp-directory/${directory.replaceAll("+", "-").replaceAll("/", "_")}`;
}

/** A name that no other witness has, so that nobody need choose one. */
function witnessOf(suite: CipherSuite, { publicKey }: Ed25519PrivateKey): WitnessIdentity {
  return { name: `sshnp-witness-${hex(suite.sha256(publicKey.bytes).slice(0, 4))}`, publicKey };
}

function plain(status: Exclude<WitnessAnswer["status"], 200 | 409>, reason: string): WitnessAnswer {
  return { status, type: "text/plain; charset=utf-8", body: `${reason}\n` };
}
