import { readFileSync } from "node:fs";
import { join } from "node:path";

const TEXT = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");

/** What README.md says somebody types, and what comes of it. */
export interface ReadmeCommand {
  /** Where: `server`, `device`, `laptop`; undefined where it does not say. */
  readonly machine: string | undefined;
  readonly line: string;
  /** The lines below it, up to the next command. */
  readonly output: readonly string[];
}

/** The code blocks, without their fences. */
export const README_BLOCKS: readonly string[] = [...TEXT.matchAll(/^```\w*\n(.*?)^```$/gms)].map(
  ([, code = ""]) => code,
);

/** The commands of all code blocks that show a prompt such as `server$ `, in their order. */
export const README_TRANSCRIPT: readonly ReadmeCommand[] = README_BLOCKS.flatMap((block) => transcriptOf(block));

/** What stands between backquotes in running text. */
export const README_INLINE_CODE: readonly string[] = [
  ...TEXT.replace(/^```\w*\n.*?^```$/gms, "").matchAll(/`([^`]+)`/g),
].map(([, code = ""]) => code.replace(/\s+/g, " "));

/** The files and folders of the repository that it links to. */
export const README_LINKS: readonly string[] = [...TEXT.matchAll(/\]\(([^):]+)\)/g)].map(([, target = ""]) => target);

function transcriptOf(block: string): ReadmeCommand[] {
  const commands: { machine: string; line: string; output: string[] }[] = [];
  for (const text of block.trimEnd().split("\n")) {
    const [, machine, line] = /^(\w+)\$ (.+)$/.exec(text) ?? [];
    if (machine !== undefined && line !== undefined) commands.push({ machine, line, output: [] });
    else commands.at(-1)?.output.push(text);
  }
  return commands;
}
