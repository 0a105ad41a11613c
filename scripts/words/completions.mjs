// Completion for three shells, of the same descriptions as --help and the man pages: each script has a table of what may stand
// behind which words, and a walk along what has been typed. None of them asks the network.
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** @typedef {import("./descriptions.mjs").Description} Description */
/** @typedef {import("./descriptions.mjs").Argument} Argument */

/**
 * File name -> script, as they are called where shells look for them.
 * @param {Description[]} commands
 * @returns {Map<string, string>}
 */
export function completionScripts(commands) {
  const names = commands.map(({ words }) => words).join(" ");
  const tables = commands.flatMap(withSubcommands).map((described) => [described.words, rows(described)]);
  const script = (name, table) => {
    const text = readFileSync(join(import.meta.dirname, `template.${name}`), "utf8");
    return text.replaceAll("#COMMANDS#", () => names).replace("#TABLE#\n", () => `${table}\n`);
  };
  return new Map([
    ["sshnp.bash", script("bash", shellTable(tables))],
    ["_sshnp", script("zsh", shellTable(tables))],
    ["sshnp.fish", script("fish", fishTable(tables))],
  ]);
}

function withSubcommands(described) {
  return [described, ...described.commands.flatMap(withSubcommands)];
}

/**
 * `option|NAME|KIND|TEXT`, `command|NAME||TEXT` and `word||KIND|`, one for each place. KIND is what stands there: nothing at
 * all, `any`, `file`, `folder`, `profile`, `device`, or words after `=`.
 */
function rows(described) {
  const options = described.options.flatMap(({ names, argument, takesWord, choices, description }) =>
    names.map((name) => ["option", name, takesWord ? kindOf(argument, choices, false) : "", firstClause(description)]),
  );
  const commands = described.commands.map(({ words, summary }) => {
    return ["command", words.split(" ").at(-1), "", firstClause(summary)];
  });
  return [...options, ...commands, ...places(described)].map((row) => row.join("|"));
}

/** At most three places; the last word that may be repeated fills them. */
function places({ words, arguments: all }) {
  const isOfSshnp = words === "sshnp" || words.startsWith("sshnp ");
  if (words === "sshnp" || words === "sshnp proxy") return Array.from({ length: 3 }, () => ["word", "", "device", ""]);
  return Array.from({ length: 3 }, (_, place) => all[place] ?? (all.at(-1)?.variadic ? all.at(-1) : undefined))
    .filter((argument) => argument !== undefined)
    .map(({ name, choices }) => ["word", "", kindOf(name, choices, isOfSshnp), ""]);
}

function kindOf(name, choices, isOfSshnp) {
  if (choices.length > 0) return `=${choices.join(" ")}`;
  if (name === "profile") return "profile";
  if (/file/i.test(name)) return "file";
  if (/folder|dir(?!ectory)/i.test(name)) return "folder";
  return isOfSshnp && !/fingerprint|value|command|address|key|time/i.test(name) ? "device" : "any";
}

/** Short enough for a line beside the word, and without what stands between cells. */
function firstClause(text) {
  const [clause = ""] = text.split(/[.;:] |[.;:]$| \(/);
  return clause.replaceAll("|", "/").slice(0, 60);
}

function shellTable(tables) {
  const cases = tables.map(([words, lines]) => {
    return `  ${quoted(words)}) rows=(\n${lines.map((line) => `    ${quoted(line)}\n`).join("")}  ) ;;`;
  });
  return cases.join("\n");
}

function fishTable(tables) {
  return tables
    .map(([words, lines]) => {
      const text = lines.map((line) => ` \\\n      '${line.replace(/[\\']/g, "\\$&")}'`).join("");
      return `    case '${words}'\n      set rows${text}`;
    })
    .join("\n");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
