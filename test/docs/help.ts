import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type CommandName, type Exit, runCommand } from "../support/processes.ts";

const ROOT = join(import.meta.dirname, "../..");

/** The commands that package.json installs. */
export const COMMANDS: readonly CommandName[] = Object.keys(
  (JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { bin: Record<CommandName, string> }).bin,
) as CommandName[];

/** What the commands say of themselves, each asked once. */
export class Help {
  readonly #home: string;
  readonly #asked = new Map<string, Promise<Exit>>();

  constructor(home: string) {
    this.#home = home;
  }

  /** Runs `COMMAND SUBCOMMANDS --help`. */
  ask(command: CommandName, ...subcommands: string[]): Promise<Exit> {
    const key = [command, ...subcommands].join(" ");
    const known = this.#asked.get(key);
    if (known !== undefined) return known;
    const asked = runCommand(command, [...subcommands, "--help"], { env: { HOME: this.#home } });
    this.#asked.set(key, asked);
    return asked;
  }

  /** Its subcommands, as the help lists them: `Commands:` of most, the usage lines of sshnp. */
  async subcommands(command: CommandName, ...path: string[]): Promise<string[]> {
    const { stdout } = await this.ask(command, ...path);
    const [, list = ""] = /^Commands:\n((?: +.*\n)+)/m.exec(stdout) ?? [];
    const listed = [...list.matchAll(/^ {2}([a-z][a-z-]*)/gm)].map(([, name = ""]) => name);
    const words = [command, ...path].join(" ");
    const used = [...stdout.matchAll(/^(?:Usage:)? +(sshnp.*)$/gm)]
      .map(([, line = ""]) => line)
      .filter((line) => line.startsWith(`${words} `))
      .map((line) => /^[a-z][a-z-]*(?= |$)/.exec(line.slice(words.length + 1))?.[0])
      .filter((name) => name !== undefined);
    return [...new Set([...listed, ...used])].filter((name) => name !== "help" || words === "sshnp");
  }

  /** All that can be asked: every command with every subcommand, level by level. */
  async all(): Promise<[CommandName, ...string[]][]> {
    const all: [CommandName, ...string[]][] = COMMANDS.map((command) => [command]);
    for (let next = 0; next < all.length; ) {
      // A few at a time: each is a start of Node.
      const some = all.slice(next, next + 4);
      next += some.length;
      const found = await Promise.all(some.map((path) => this.subcommands(...path)));
      some.forEach((path, i) => all.push(...(found[i] ?? []).map((name): typeof path => [...path, name])));
    }
    return all;
  }

  /** Whether its help has the flag, as a word of its own. */
  async hasFlag(flag: string, command: CommandName, ...path: string[]): Promise<boolean> {
    return flagPattern(flag, "").test((await this.ask(command, ...path)).stdout);
  }

  /** Whether its help shows a value behind the flag. */
  async takesValue(flag: string, command: CommandName, ...path: string[]): Promise<boolean> {
    return flagPattern(flag, "(?:, --[a-z-]+)? (?:<|[@A-Z])").test((await this.ask(command, ...path)).stdout);
  }
}

function flagPattern(flag: string, behind: string): RegExp {
  return new RegExp(`(?<=^|[\\s[(])${flag}(?=[\\s,=[\\])]|$)${behind}`, "m");
}
