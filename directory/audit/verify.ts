import { hex } from "../../keys/bytes.ts";
import { SecurityError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { AUDIT_LATER, AUDIT_TAIL_BYTES } from "../../protocol/limits.ts";
import type { Hashing } from "../../protocol/log/tree.ts";
import { type AuditLine, auditLineHash, auditLineOf } from "./line.ts";
import type { LogCopy } from "./log-copy.ts";
import type { TextLine } from "./read-lines.ts";
import { AuditChain, type ChainReport } from "./chain.ts";

export interface AuditReport {
  readonly directories: readonly ChainReport[];
  /** Entries of the log, as far as it was looked at. */
  readonly logSize: number;
  /** Statements in the log that have their line here. */
  readonly statements: number;
  /** Statements in the log that other directories' audits must have. */
  readonly unseen: number;
  /** Files that end in the middle of a line, as a process leaves them that was killed while it wrote. */
  readonly torn: readonly string[];
  /** Lines that are older than the first of the chain, and that nothing proves. */
  readonly before: number;
}

/** What lines say of log entries that the log did not have yet when it was read. */
export interface LaterClaim {
  readonly place: string;
  readonly index: number;
  /** SHA-256 of the statement in hex. */
  readonly hash: string;
}

/** Holds lines of audits, one after the other, against each other and against a log. */
export class AuditVerifier {
  readonly #suite: Hashing;
  readonly #log: LogCopy;
  readonly #logSize: number;
  readonly #areOthersAllowed: boolean;
  readonly #chains = new Map<string, AuditChain>();
  readonly #covered: Uint8Array;
  readonly #torn: string[] = [];
  readonly #later: LaterClaim[] = [];
  /** What is no line, until the line after it is known. */
  #fragment: { readonly place: string; text: string; lines: number } | undefined;
  #before = 0;

  /** `logSize`: how much of the log is looked at; `areOthersAllowed`: there may be directories whose audits are not here. */
  constructor(
    suite: Hashing,
    log: LogCopy,
    { logSize, areOthersAllowed }: { readonly logSize: number; readonly areOthersAllowed: boolean },
  ) {
    this.#suite = suite;
    this.#log = log;
    this.#logSize = logSize;
    this.#areOthersAllowed = areOthersAllowed;
    this.#covered = new Uint8Array(logSize);
  }

  /** What lines said of log entries beyond `logSize`. */
  get later(): readonly LaterClaim[] {
    return this.#later;
  }

  /** Takes the next line of `file`. @throws {SecurityError} E_AUDIT, which names the first line that is wrong. */
  take(file: string, { text, number, isEnded }: TextLine): void {
    const place = `${file}:${number}`;
    const line = auditLineOf(text);
    if (line === undefined) return this.#takeFragment(place, text, isEnded);
    const chain = this.#chains.get(line.directory);
    this.#settleFragment(line, chain === undefined);
    const hash = auditLineHash(this.#suite, text);
    if (chain === undefined) {
      const anchors = (this.#log.anchors.get(line.directory) ?? []).filter(({ index }) => index < this.#logSize);
      this.#chains.set(line.directory, AuditChain.begin(anchors, line, hash, place));
    } else {
      chain.take(line, hash, place);
    }
    this.#takeStatements(line, place);
    if (line.event === "anchored") this.#chains.get(line.directory)?.demandAnchor(line, this.#logSize, place);
  }

  /** The end of a file. @throws as take. */
  endFile(): void {
    const fragment = this.#fragment;
    if (fragment === undefined) return;
    if (fragment.lines > 1 || fragment.text.endsWith("\n")) throw noLine(fragment.place);
    this.#torn.push(fragment.place);
    this.#fragment = undefined;
  }

  /** Once all lines were taken. @throws as take. */
  finish(): AuditReport {
    if (this.#chains.size === 0) throw wrong("There is no line of an audit.", "Name the files of an audit.");
    const directories = [...this.#chains.values()].map((chain) => chain.finish());
    const others = [...this.#log.anchors].filter(
      ([directory, [first]]) => !this.#chains.has(directory) && first !== undefined && first.index < this.#logSize,
    );
    const [other] = others;
    if (other !== undefined && !this.#areOthersAllowed) {
      throw wrong(
        `The log holds lines of the audit of directory ${other[0]}, and none of them is here.`,
        "Add the files of every directory on this store; --other-directories goes without, and proves less.",
      );
    }
    const { statements, missing } = this.#count();
    const [first] = missing;
    if (first !== undefined && (other === undefined || !this.#areOthersAllowed)) {
      throw wrong(
        `The statement at entry ${first} of the log has no line${missing.length > 1 ? `, and ${missing.length - 1} more have none` : ""}.`,
        "Lines are missing, or the files of a directory on the same store.",
      );
    }
    return {
      ...{ directories, logSize: this.#logSize, statements, unseen: missing.length },
      ...{ torn: this.#torn, before: this.#before },
    };
  }

  #count(): { readonly statements: number; readonly missing: number[] } {
    const chains = [...this.#chains.values()];
    const incomplete = chains.filter(({ isWhole }) => !isWhole).map(({ coversFrom }) => coversFrom);
    const from = incomplete.length > 0 ? Math.max(...incomplete) : Math.min(...chains.map((one) => one.coversFrom));
    const missing: number[] = [];
    let statements = 0;
    for (let index = 0; index < this.#logSize; index++) {
      if (this.#covered[index] === 1) statements += 1;
      else if (index >= from && this.#log.statementAt(index) !== undefined) missing.push(index);
    }
    return { statements, missing };
  }

  #takeStatements(line: AuditLine, place: string): void {
    for (const { index, hash } of line.statements ?? []) {
      if (index >= this.#logSize) {
        if (this.#later.length >= AUDIT_LATER) throw wrong(`${place} speaks of statements that the log does not have.`);
        this.#later.push({ place, index, hash });
      } else {
        if (this.#log.statementAt(index) !== hash) throw notTheStatement(place, index);
        this.#covered[index] = 1;
      }
    }
  }

  #takeFragment(place: string, text: string, isEnded: boolean): void {
    this.#fragment ??= { place, text: "", lines: 0 };
    this.#fragment.lines += 1;
    if (this.#fragment.text.length <= AUDIT_TAIL_BYTES) this.#fragment.text += text + (isEnded ? "\n" : "");
  }

  /** What is no line stands ahead of the line that tells of it, or of the first line of all. */
  #settleFragment(line: AuditLine, isFirst: boolean): void {
    const fragment = this.#fragment;
    if (fragment === undefined) return;
    this.#fragment = undefined;
    if (isFirst && line.n === 1) {
      this.#before += fragment.lines;
      return;
    }
    // The newline after it came with that line, unless the file had been ended by one.
    const texts = [fragment.text, fragment.text.replace(/\n$/, "")];
    const isTold = texts.some((text) => {
      const bytes = Buffer.from(text, "latin1");
      return line.event === "torn" && line.bytes === bytes.length && line.hash === hex(this.#suite.sha256(bytes));
    });
    if (!isTold) throw noLine(fragment.place);
  }
}

/** @throws {SecurityError} E_AUDIT unless the log has by now what the lines said that it would. */
export function demandLater(log: LogCopy, claims: readonly LaterClaim[]): void {
  for (const { place, index, hash } of claims) {
    if (log.statementAt(index) !== hash) throw notTheStatement(place, index);
  }
}

function notTheStatement(place: string, index: number): SecurityError {
  return wrong(`${quoted(place)}: this line speaks of a statement at entry ${index} of the log, where it is not.`);
}

function noLine(place: string): SecurityError {
  return wrong(`${quoted(place)} is not a line of an audit.`);
}

function wrong(fact: string, next: string = CHANGED): SecurityError {
  return new SecurityError("E_AUDIT", fact, { next });
}

const CHANGED =
  "Somebody has changed the audit, or parts of it are not here. Compare with what was exported before; the directory's machine is not to be believed.";
