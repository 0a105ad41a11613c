import { type ErrorCode, SshnpError } from "../../../keys/errors.ts";
import { nextSteps, printable } from "../../../keys/print-error.ts";
import { printableJson } from "../../../keys/printable-json.ts";

/** What one look has shown. */
export interface Check {
  /** What was looked at, in a word or two. */
  readonly name: string;
  /** `skip`: it rests on another one that failed. */
  readonly verdict: "ok" | "fail" | "skip";
  readonly text: string;
  /** What a person should do, or may. */
  readonly next?: string | undefined;
  /** Of a failure alone. */
  readonly failure?: { readonly code: ErrorCode; readonly status: number };
}

export function ok(name: string, text: string, next?: string): Check {
  return { name, verdict: "ok", text, next };
}

export function skipped(name: string, why: string): Check {
  return { name, verdict: "skip", text: why };
}

/** An error as a check that failed. @throws what is no error of ours: a bug is not somebody's network. */
export function failed(name: string, error: unknown): Check {
  if (!(error instanceof SshnpError)) throw error;
  const { message, next, code, exitStatus } = error;
  return { name, verdict: "fail", text: message, next, failure: { code, status: exitStatus } };
}

/** `ok    clock         0.1 s behind the directory's`; below a failure what to do, and its code. */
export function checkLines({ name, verdict, text, next, failure }: Check): string {
  const lines = [`${verdict.padEnd(4)}  ${name.padEnd(NAME_COLUMNS)}  ${printable(text)}`];
  const indent = " ".repeat(NAME_COLUMNS + 8);
  for (const step of nextSteps(next)) lines.push(`${indent}${printable(step)}`);
  if (failure !== undefined) lines.push(`${indent}[${failure.code}]`);
  return lines.map((line) => `${line}\n`).join("");
}

export function checksJson(checks: readonly Check[]): string {
  const rows = checks.map(({ name, verdict, text, next, failure }) => {
    return { check: name, verdict, text, next: next ?? null, code: failure?.code ?? null };
  });
  return printableJson({ v: 1, status: statusOf(checks), checks: rows });
}

/** That of the first failure; 0 when there is none. */
export function statusOf(checks: readonly Check[]): number {
  return checks.find(({ failure }) => failure !== undefined)?.failure?.status ?? 0;
}

/** The longest name of a check. */
const NAME_COLUMNS = 14;
