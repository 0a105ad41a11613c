import { SetupError } from "./errors.ts";
import { firstLine, firstLineOfFile } from "./first-line.ts";
import { parseCramSecret, type Secret } from "./secret.ts";
import { askHidden, isTerminal } from "./terminal.ts";

/**
 * The one-time secret as command lines give it: `-c SECRET`, `-c -` for stdin, `--cram-file FILE`, else SSHNP_CRAM.
 * Undefined when none is given, or an empty one.
 * @throws {SetupError} E_USAGE when two are given, E_STORAGE when it cannot be read, E_CRAM_WRONG when it is none,
 * E_INTERRUPTED. The signal's reason when it is aborted.
 */
export async function readCramSecret(
  { cramSecret, cramFile }: { readonly cramSecret?: string; readonly cramFile?: string },
  environment: NodeJS.ProcessEnv,
  waiting: { readonly signal?: AbortSignal } = {},
): Promise<Secret | undefined> {
  if (cramSecret !== undefined && cramFile !== undefined) {
    throw new SetupError("E_USAGE", "-c and --cram-file both give the secret.", { next: "Give one of them." });
  }
  if (cramFile !== undefined) return parseCramSecret(await firstLineOfFile(cramFile, waiting));
  if (cramSecret === "-") {
    const line = isTerminal()
      ? await askHidden("The one-time secret: ", waiting)
      : await firstLine(process.stdin, "stdin", waiting);
    return parseCramSecret(line);
  }
  const given = cramSecret ?? environment["SSHNP_CRAM"] ?? "";
  return given === "" ? undefined : parseCramSecret(given);
}
