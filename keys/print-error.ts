import { EXIT_STATUS, SshnpError } from "./errors.ts";

/**
 * Tells a person what went wrong, in one block on stderr, and returns the exit status for it:
 *
 * ```
 * sshnp: mygateway is offline: last seen 14 min ago.
 *        Wait for it: sshnp --wait @device mygateway
 *        Only to hear that it is back: sshnp ping --wait @device mygateway
 *        [E_OFFLINE]
 * ```
 * Whatever others wrote into the error is escaped. An error that is no {@link SshnpError} is a bug of ours and gets one
 * line; its stack is for those who set SSHNP_DEBUG=1.
 */
export function printError(command: string, error: unknown): number {
  if (error instanceof SshnpError) {
    const indent = " ".repeat(command.length + 2);
    const lines = [error.message, ...nextSteps(error.next), `[${error.code}]`];
    process.stderr.write(lines.map((line, i) => `${i === 0 ? `${command}: ` : indent}${printable(line)}\n`).join(""));
    return error.exitStatus;
  }
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${command}: This is a bug: ${printable(message)} [E_BUG]\n`);
  if (process.env["SSHNP_DEBUG"] === "1" && error instanceof Error) process.stderr.write(`${error.stack ?? ""}\n`);
  return EXIT_STATUS.E_BUG;
}

/**
 * The same for programs, one line on stderr: `{"v":1,"error":{"code":"E_OFFLINE","status":69,"message":"...","next":"...",
 * "retryable":true}}`; `next` is left out where there is none. Only printable ASCII leaves: what is not is escaped, as JSON does.
 */
export function printErrorJson(error: unknown): number {
  const known = error instanceof SshnpError ? error : undefined;
  const status = known?.exitStatus ?? EXIT_STATUS.E_BUG;
  const code = known?.code ?? "E_BUG";
  const message = error instanceof Error ? error.message : String(error);
  const json = { v: 1, error: { code, status, message, next: known?.next, retryable: RETRYABLE.has(status) } };
  process.stderr.write(`${printable(JSON.stringify(json))}\n`);
  return status;
}

/** The advices of an error's `next`, one a line: three blanks and a capital stand between them. */
export function nextSteps(next: string | undefined): readonly string[] {
  return next === undefined ? [] : next.trimStart().split(/ {3}(?=[A-Z])/);
}

/** Statuses of what may go by itself: unavailable, temporary failure, timed out. */
const RETRYABLE: ReadonlySet<number> = new Set([69, 75, 124]);

/** Text with everything but printable ASCII escaped: no control or bidirectional character reaches a terminal. */
export function printable(text: string): string {
  return text.replace(/[^ -~]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
