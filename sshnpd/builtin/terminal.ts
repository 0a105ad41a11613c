import { findProgram } from "../programs.ts";
import type { LoginAccount } from "./login-account.ts";
import { inHome } from "./account-words.ts";
import type { Running, WindowSize } from "./running.ts";
import { sttyWords } from "./terminal-modes.ts";

/** What a client asked for in its `pty-req`. */
export interface TerminalRequest extends WindowSize {
  /** TERM. */
  readonly type: string;
  readonly modes: Readonly<Record<string, number | undefined>>;
}

/**
 * Runs a program of an account behind a terminal of its own, which a process of the account makes and holds: script(1) of
 * util-linux, or where there is none a program of ours with the native part of node-pty. Never this process, for whatever
 * it starts later would have the terminal open too (docs/decisions/0028-terminals-are-held-outside.md).
 * @throws {Error} with the `code` of the system when neither can be started.
 */
export async function runInTerminal(
  account: LoginAccount,
  program: readonly string[],
  env: Readonly<Record<string, string>>,
  { type, modes, ...size }: TerminalRequest,
): Promise<Running> {
  const words = (missing: string): string[] => [
    ...["/bin/sh", "-c", PREPARE, "sh", sttyWords(modes).join(" "), missing],
    ...inHome(program),
  ];
  const variables = { ...env, TERM: type };
  const script = await findScript();
  if (script !== undefined) {
    const { runScript } = await import("./script-terminal.ts");
    return await runScript(account, script, words(`rows ${size.rows} cols ${size.columns}`), variables);
  }
  const { runHeld } = await import("./held-terminal.ts");
  return await runHeld(account, words(""), variables, size);
}

/**
 * Ahead of the program: the terminal gets its modes before anything can be typed, from those of a new terminal, which script
 * gives no echo. Its size as well where it has none yet or the usual one: the window may have changed meanwhile.
 */
const PREPARE = `SSH_TTY=$(tty) && export SSH_TTY
stty echo $1 2>/dev/null
[ -z "$2" ] || case $(stty size) in "0 0" | "24 80") stty $2 ;; esac
shift 2
exec "$@"`;

let script: string | undefined;

/** The path of script(1), if it and setpriv(1) are those of util-linux: busybox has others, that can less. */
async function findScript(): Promise<string | undefined> {
  if (script !== undefined) return script;
  const { isUtilLinux } = await import("./script-terminal.ts");
  const [path, setpriv] = await Promise.all([findProgram("script"), findProgram("setpriv")]);
  if (path === undefined || setpriv === undefined) return undefined;
  const areUsual = await Promise.all([isUtilLinux(path), isUtilLinux(setpriv)]);
  if (areUsual.every(Boolean)) script = path;
  return script;
}
