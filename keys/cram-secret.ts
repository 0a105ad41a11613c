import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { SetupError } from "./errors.ts";
import { parseCramSecret, type Secret } from "./secret.ts";
import { shellWord } from "./shell-word.ts";

/**
 * The one-time secret as command lines give it: `-c SECRET`, `-c -` for stdin, `--cram-file FILE`, else SSHNP_CRAM.
 * Undefined when none is given, or an empty one.
 * @throws {SetupError} E_USAGE when two are given, E_STORAGE when the file cannot be read, E_CRAM_WRONG when it is none.
 */
export async function readCramSecret(
  { cramSecret, cramFile }: { readonly cramSecret?: string; readonly cramFile?: string },
  environment: NodeJS.ProcessEnv,
): Promise<Secret | undefined> {
  if (cramSecret !== undefined && cramFile !== undefined) {
    throw new SetupError("E_USAGE", "-c and --cram-file both give the secret.", { next: "Give one of them." });
  }
  if (cramFile !== undefined) {
    const content = await readFile(cramFile, "utf8").catch((cause: unknown) => {
      throw new SetupError("E_STORAGE", `Cannot read ${shellWord(cramFile)}.`, {
        next: "Check its path and mode.",
        cause,
      });
    });
    return parseCramSecret(content);
  }
  const given = cramSecret ?? environment["SSHNP_CRAM"] ?? "";
  if (given === "-") return parseCramSecret(await text(process.stdin));
  return given === "" ? undefined : parseCramSecret(given);
}
