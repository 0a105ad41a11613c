import type { LoginAccount } from "./login-account.ts";
import { wordsAs } from "./account-words.ts";
import type { Running, WindowSize } from "./running.ts";
import { sttyWords } from "./terminal-modes.ts";

/** What a client asked for in its `pty-req`. */
export interface TerminalRequest extends WindowSize {
  /** TERM. */
  readonly type: string;
  readonly modes: Readonly<Record<string, number | undefined>>;
}

/**
 * Runs a program of an account behind a terminal of its own: by the native part of node-pty where that loads, else by
 * script(1) of util-linux.
 * @throws {Error} with the `code` of the system when neither can be started.
 */
export async function runInTerminal(
  account: LoginAccount,
  program: readonly string[],
  env: Readonly<Record<string, string>>,
  { type, modes, ...size }: TerminalRequest,
): Promise<Running> {
  const rest = wordsAs(account, program);
  const words = (missing: string): string[] => [
    ...["/bin/sh", "-c", PREPARE, "sh"],
    ...[String(account.uid), sttyWords(modes).join(" "), missing],
    ...rest,
  ];
  const variables = { ...env, TERM: type };
  const runNative = await loadNative();
  if (runNative !== undefined) return runNative(words(""), variables, size);
  const { runScript } = await import("./script-terminal.ts");
  return await runScript(words(`rows ${size.rows} cols ${size.columns}`), variables);
}

/**
 * As whoever runs the daemon, ahead of the account: the terminal becomes the account's, as sshd makes it, so that what opens
 * it by name may (gpg, screen); and it gets its modes before anything can be typed. Its size as well where it has none yet
 * or the usual one: the window may have changed meanwhile.
 */
const PREPARE = `SSH_TTY=$(tty) && export SSH_TTY
[ "$(id -u)" != 0 ] || { chown "$1:tty" "$SSH_TTY" 2>/dev/null || chown "$1" "$SSH_TTY"; chmod 620 "$SSH_TTY"; }
[ -z "$2" ] || stty $2 2>/dev/null
[ -z "$3" ] || case $(stty size) in "0 0" | "24 80") stty $3 ;; esac
shift 3
exec "$@"`;

type Native = (words: readonly string[], env: Readonly<Record<string, string>>, size: WindowSize) => Running;
let loading: Promise<Native | undefined> | undefined;

async function loadNative(): Promise<Native | undefined> {
  // The package is optional: there is none for 32-bit boards, nor for musl.
  loading ??= import("./native-terminal.ts").then(
    ({ runNative }) => runNative,
    () => undefined,
  );
  return await loading;
}
