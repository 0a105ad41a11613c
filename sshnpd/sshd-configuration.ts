import { SetupError } from "../keys/errors.ts";
import { outputOf } from "./programs.ts";

/** What `sshd -T` says is in force: options in small letters, each with its values in their order. */
export type SshdConfiguration = ReadonlyMap<string, readonly string[]>;

/** Reads lines `option value`. Whatever else stands there is passed over. */
export function parseSshdConfiguration(text: string): SshdConfiguration {
  const options = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [, option, value] = /^([a-z0-9]+) (.+)$/.exec(line) ?? [];
    if (option === undefined || value === undefined) continue;
    const values = options.get(option);
    if (values === undefined) options.set(option, [value]);
    else values.push(value);
  }
  return options;
}

/**
 * The configuration that the sshd at `program` would run with, with more options of its command line. `hasHostKeys` is false when
 * it has none that this user can read; it demands one then (`-h FILE`).
 * @throws {SetupError} E_NO_SSH when it does not run as things are.
 */
export async function readSshdConfiguration(
  program: string,
  words: readonly string[],
  signal: AbortSignal,
): Promise<SshdConfiguration | "no host keys"> {
  const { stdout, stderr, isFine } = await outputOf(program, ["-T", ...words], signal);
  if (isFine) return parseSshdConfiguration(stdout);
  if (/no hostkeys available/i.test(stderr)) return "no host keys";
  const [, folder] = /^Missing privilege separation directory: (\S+)/m.exec(stderr) ?? [];
  if (folder !== undefined) throw separationFolderMissing(folder);
  throw new SetupError("E_NO_SSH", `sshd does not run: ${lastLine(stderr)}`, { next: `See: ${program} -t` });
}

/** OpenSSH locks the part of it that talks to strangers into this folder, which the system's service makes when it starts. */
function separationFolderMissing(folder: string): SetupError {
  return new SetupError("E_NO_SSH", `sshd does not run: its folder ${folder} (privilege separation) is missing.`, {
    next: `mkdir -m 0755 ${folder}   For good: echo 'd ${folder} 0755 root root' > /etc/tmpfiles.d/sshnpd.conf`,
  });
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}
