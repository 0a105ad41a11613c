// Man pages, of the same descriptions as --help: one for each command, and one for each verb of sshnp.
/** @typedef {import("./descriptions.mjs").Description} Description */

/**
 * File name -> page in man(7).
 * @param {Description[]} commands
 * @param {{ version: string, date: string }} stamp
 * @returns {Map<string, string>}
 */
export function manualPages(commands, stamp) {
  const pages = new Map();
  const names = commands.map(({ words }) => words);
  for (const command of commands) {
    const verbs = command.words === "sshnp" ? command.commands : [];
    for (const described of [command, ...verbs]) {
      const name = described.words.replace(" ", "-");
      const others = [...names, ...verbs.map(({ words }) => words.replace(" ", "-"))].filter((other) => other !== name);
      pages.set(`${name}.1`, page(described, { ...stamp, others: described === command ? others : names }));
    }
  }
  return pages;
}

function page(described, { version, date, others }) {
  const name = described.words.replace(" ", "-");
  const hasPages = described.words === "sshnp";
  return [
    `.TH ${escaped(name.toUpperCase())} 1 ${date} "sshnp ${version}" "User Commands"`,
    ".SH NAME",
    `${escaped(name)} \\- ${escaped(firstSentence(described.summary))}`,
    ".SH SYNOPSIS",
    ...synopsis(described),
    ".SH DESCRIPTION",
    ...prose(described.description),
    ...(described.options.length > 0 ? [".SH OPTIONS", ...options(described)] : []),
    ...(described.commands.length > 0 ? [".SH COMMANDS"] : []),
    ...described.commands.flatMap((command) =>
      hasPages
        ? [".TP", `.BR ${escaped(command.words.replace(" ", "-"))} (1)`, ...text(command.summary)]
        : subcommand(command),
    ),
    ...(described.after === "" ? [] : [".SH NOTES", ...prose(described.after)]),
    ".SH SEE ALSO",
    others
      .sort()
      .map((other, i) => `.BR ${escaped(other)} (1)${i < others.length - 1 ? " ," : ""}`)
      .join("\n"),
    "",
  ].join("\n");
}

/** With all below it: sections of man(7) have two levels, so each is called by all its words. */
function subcommand(described) {
  return [
    `.SS ${escaped(described.words)}`,
    ...synopsis(described),
    ".PP",
    ...prose(described.description),
    ...options(described, ["--help"]),
    ...(described.after === "" ? [] : [".PP", ...prose(described.after)]),
    ...described.commands.flatMap(subcommand),
  ];
}

function synopsis({ words, usage }) {
  const [first = "", ...others] = usage.split("\n");
  const lines = [`${words} ${first}`, ...others.map((line) => line.trim().replace(/ {3,}.*/, ""))];
  return [".nf", ...lines.map((line) => line.trim()).flatMap(text), ".fi"];
}

function options({ options: all, arguments: words }, without = []) {
  const named = words.filter(({ description }) => description !== "");
  return [
    ...named.flatMap(({ name, description }) => [".TP", `.I ${escaped(name)}`, ...text(description)]),
    ...all
      .filter(({ names }) => !names.some((name) => without.includes(name)))
      .flatMap(({ flags, description, choices }) => {
        const bold = flags
          .replace(/-{1,2}[\w-]+/g, (name) => `\\fB${escaped(name)}\\fR`)
          .replace(/[<[][^>\]]*[>\]]/, (argument) => escaped(argument));
        return [".TP", bold, ...text(choices.length > 0 ? `${description}: ${choices.join(", ")}` : description)];
      }),
  ];
}

/** Paragraphs; lines that are indented stay as they are. */
function prose(body) {
  const lines = [];
  let isFilled = true;
  let isFirst = true;
  for (const line of body.split("\n")) {
    const isBlock = line.startsWith("  ");
    if (line === "") {
      if (!isFilled) lines.push(".fi");
      isFilled = true;
      lines.push(".PP");
      continue;
    }
    if (isBlock === isFilled && !(isFirst && !isBlock)) lines.push(...(isBlock ? [".nf"] : [".fi"]));
    isFilled = !isBlock;
    isFirst = false;
    lines.push(...text(line));
  }
  if (!isFilled) lines.push(".fi");
  return lines.filter((line, i) => line !== ".PP" || (lines[i - 1] !== ".PP" && i > 0 && i < lines.length - 1));
}

function text(line) {
  const body = escaped(line);
  return [/^[.']/.test(body) ? `\\&${body}` : body];
}

/** Nothing in it is roff any more; a hyphen can be copied. */
function escaped(body) {
  return body
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll("`", "\\(ga")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti");
}

function firstSentence(body) {
  return body.split(/[.:;](?:\s|$)/)[0];
}
