import { SecurityError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { type AuditLine, BEFORE_FIRST } from "./line.ts";
import type { AnchorLeaf } from "./log-copy.ts";

/** What was found of the audit of one directory. */
export interface ChainReport {
  /** 16 hex digits. */
  readonly directory: string;
  /** Numbers of its first and its last line here. */
  readonly first: number;
  readonly last: number;
  /** Number of the last line that the log holds, and of its entry there; perhaps the line ahead of `first`. */
  readonly anchored: { readonly line: number; readonly index: number };
  /** When the last line was written. */
  readonly time: string;
}

/** The lines of one directory, each held against the one before and against what the log holds of them. */
export class AuditChain {
  readonly #directory: string;
  readonly #anchors: readonly AnchorLeaf[];
  readonly #byHash: ReadonlyMap<string, number>;
  readonly #first: number;
  /** The last line. */
  #n: number;
  #hash: string;
  #place: string;
  #time: string;
  /** How many of the anchors are accounted for. */
  #at = 0;
  /** The first and the last line that the log holds, of those here and the one ahead of them. */
  #tied: { readonly first: number; line: number; index: number } | undefined;
  /** From which entry of the log on every statement of this directory has its line here. */
  readonly #begun: number | undefined;

  private constructor(anchors: readonly AnchorLeaf[], line: AuditLine, hash: string, place: string) {
    this.#anchors = anchors;
    this.#byHash = new Map(anchors.map((anchor, at) => [anchor.hash, at]));
    this.#directory = line.directory;
    this.#first = line.n;
    this.#begun = line.n === 1 ? (line.log ?? 0) : undefined;
    this.#n = line.n;
    this.#hash = hash;
    this.#place = place;
    this.#time = line.time;
    this.#tieAhead(line);
    this.#tie(line.n, hash);
  }

  /** `anchors`: those of this directory in the log. @throws {SecurityError} E_AUDIT. */
  static begin(anchors: readonly AnchorLeaf[], line: AuditLine, hash: string, place: string): AuditChain {
    if (line.n === 1 && (line.prev !== BEFORE_FIRST || line.event !== "begun")) {
      throw wrong(`${quoted(place)}: this is not how an audit begins.`);
    }
    return new AuditChain(anchors, line, hash, place);
  }

  /** Whether it begins with line 1. */
  get isWhole(): boolean {
    return this.#begun !== undefined;
  }

  /** From which entry of the log on every statement of this directory has its line here. */
  get coversFrom(): number {
    return this.#begun ?? this.#tied?.first ?? 0;
  }

  /** @throws {SecurityError} E_AUDIT unless it is the next line. */
  take(line: AuditLine, hash: string, place: string): void {
    const expected = this.#n + 1;
    if (line.n > expected) {
      const those = line.n === expected + 1 ? `Line ${expected} is` : `Lines ${expected} to ${line.n - 1} are`;
      throw wrong(`${those} missing before ${quoted(place)}, which is line ${line.n}.`, WHOLE);
    }
    if (line.n < expected) {
      throw wrong(`${quoted(place)} is line ${line.n}, and stands where line ${expected} should.`, WHOLE);
    }
    if (line.prev !== this.#hash) {
      throw wrong(
        `Line ${this.#n} (${quoted(this.#place)}) was changed, or the line after it: it is not the one that line ${line.n} follows.`,
      );
    }
    this.#n = line.n;
    this.#hash = hash;
    this.#place = place;
    this.#time = line.time;
    this.#tie(line.n, hash);
  }

  /** Of a line that says which line the log holds. @throws {SecurityError} E_AUDIT unless it does. */
  demandAnchor({ line = 0, index = 0 }: AuditLine, logSize: number, place: string): void {
    if (index >= logSize || line < this.#first) return;
    const isTied = this.#tied !== undefined && index <= this.#tied.index && line <= this.#tied.line;
    if (isTied) return;
    throw wrong(
      `${this.#changedSince()}: line ${line} is not the one that the log holds (entry ${index}), as ${quoted(place)} says.`,
    );
  }

  /** @throws {SecurityError} E_AUDIT unless every line that the log holds of this directory is here, or older than all here. */
  finish(): ChainReport {
    const next = this.#anchors[this.#at];
    if (this.#tied === undefined) {
      const anchor = "put them into it: sshnp-directory audit anchor --data DIR";
      throw wrong(
        `The log holds none of the lines ${this.#first} to ${this.#n} of directory ${this.#directory}${next === undefined ? "" : ", and holds others"}.`,
        this.isWhole
          ? `If they are new, ${anchor}. Otherwise they are not of this log, or were changed.`
          : `Lines before line ${this.#first} are not here. They are in another file: give it, too. Or, if these are new, ${anchor}. If neither helps, they are not of this log, or were changed.`,
      );
    }
    if (next !== undefined) {
      throw wrong(
        `${this.#changedSince()}, or lines after line ${this.#n} (${quoted(this.#place)}) are missing: the log holds one (entry ${next.index}) that is not here.`,
        "If these lines were exported earlier, hold them against the log as it was then: --log-size N, as audit export says it.",
      );
    }
    const { line, index } = this.#tied;
    return {
      ...{ directory: this.#directory, first: this.#first, last: this.#n },
      ...{ anchored: { line, index }, time: this.#time },
    };
  }

  #changedSince(): string {
    return this.#tied === undefined
      ? `Lines up to line ${this.#n} were changed`
      : `Lines after line ${this.#tied.line} were changed`;
  }

  /**
   * A file that was begun by rotation follows a line that is in another one. If the log holds that line, those here are as good as
   * they are behind it in one file: all that the log holds beyond it has to be here.
   */
  #tieAhead({ n, prev }: AuditLine): void {
    const at = n === 1 ? undefined : this.#byHash.get(prev);
    const index = at === undefined ? undefined : this.#anchors[at]?.index;
    if (at === undefined || index === undefined) return;
    this.#tied = { first: index, line: n - 1, index };
    this.#at = at + 1;
  }

  #tie(n: number, hash: string): void {
    // Of an audit that does not begin here, the log holds older lines, too.
    const at = this.#tied === undefined && !this.isWhole ? this.#byHash.get(hash) : this.#at;
    if (at === undefined || this.#anchors[at]?.hash !== hash) return;
    const { index } = this.#anchors[at];
    this.#tied ??= { first: index, line: n, index };
    this.#tied.line = n;
    this.#at = at;
    // A directory that was not sure whether one had landed has put it there twice.
    for (; this.#anchors[this.#at]?.hash === hash; this.#at++)
      this.#tied.index = this.#anchors[this.#at]?.index ?? index;
  }
}

function wrong(fact: string, next: string = CHANGED): SecurityError {
  return new SecurityError("E_AUDIT", fact, { next });
}

const CHANGED =
  "Somebody has changed the audit, or the file is damaged. Compare with what was exported before; the directory's machine is not to be believed.";
const WHOLE =
  "Verify whole files, in any order, and exports without --since, --until and --event. If they are whole, lines were taken away or moved.";
