import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseSync } from "vite";
import { RESERVED_MEMBERS } from "../../keys/names.ts";
import { fromNoPorts } from "../../sshnp/noports-flags.ts";
import type { CommandName } from "../support/processes.ts";
import type { Help } from "./help.ts";

/** A place where one of our commands is named, with the words behind it. */
export interface Mention {
  readonly place: string;
  readonly command: CommandName;
  readonly words: readonly string[];
  /** Whether it stands where something is to be typed: behind a colon, a prompt, a backquote, or indented. */
  readonly isTyped: boolean;
}

/** In all that the programs may say: string and template literals; `X` stands for what is filled in. */
export function mentionsInSource(place: string, source: string): Mention[] {
  const { program, errors } = parseSync(place, source);
  if (errors.length > 0) throw new Error(`${place} cannot be read`);
  return literalsOf(program).flatMap((text) => mentionsIn(place, text));
}

/** In all that a document sets as code, blocks and inline. */
export function mentionsInDocument(place: string, document: string): Mention[] {
  const blocks = [...document.matchAll(/^```\w*\n(.*?)^```$/gms)].map(([, code = ""]) => code);
  const prose = document.replace(/^```\w*\n.*?^```$/gms, "");
  const inline = [...prose.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code.replace(/\s+/g, " "));
  return [...blocks, ...inline].flatMap((text) => mentionsIn(place, text));
}

/** In one text: from each name of a command to the next one, or to the end of line or sentence. */
export function mentionsIn(place: string, text: string): Mention[] {
  return text.split("\n").flatMap((line) => {
    const parts = line.split(/(?<![\w./@-])(?=sshnp(?:d|-directory|-rendezvous|-keys)?(?![\w-]|\.\w|\/|:\/))/);
    return parts.flatMap((part, i) => {
      const [first = "", ...others] = part.split(/(?: {3,}|[`|>&#])/, 1)[0]?.split(/\s+/) ?? [];
      const [, command, end] = /^(sshnp(?:d|-directory|-rendezvous|-keys)?)(\W*)$/.exec(first) ?? [];
      if (command === undefined) return [];
      const words = end === "" ? untilSentenceEnd(others) : [];
      const isTyped = /(?:: |\$ |`| {2})$/.test(parts[i - 1] ?? "");
      return [{ place, command: command as CommandName, words, isTyped }];
    });
  });
}

/** What a mention names that is not there; undefined when it is well. */
export async function mistakeIn({ place, command, words, isTyped }: Mention, help: Help): Promise<string | undefined> {
  const mistake = (what: string): string => `${place}: ${command} ${words.join(" ")}: ${what}`;
  const path: string[] = [];
  let rest = words;
  for (;;) {
    const [next] = rest;
    if (next === undefined || !/^[a-z]/.test(next)) break;
    const subcommands = await help.subcommands(command, ...path);
    if (!subcommands.includes(next)) {
      if (path.length === 0 && !isTyped && !VERBS.includes(next)) return undefined; // spoken of, not to be typed
      if (subcommands.length > 0 || path.length === 0) return mistake(`there is no ${next}`);
      break;
    }
    path.push(next);
    rest = rest.slice(1);
  }
  if ((await help.ask(command, ...path)).code !== 0) return mistake("its --help fails");
  const isSession = command === "sshnp" && path.length === 0;
  // A line of NoPorts is judged by what it becomes.
  if (isSession) rest = fromNoPorts(rest)?.words ?? rest;
  for (let i = 0; i < rest.length; i++) {
    const word = rest[i] ?? "";
    const [, flag] = /^\[?(--?[A-Za-z][a-z-]*)/.exec(word) ?? [];
    if (flag === undefined) {
      if (isSession && !/^\[|^@|^X/.test(word)) break; // the device: what follows is ssh's
      continue;
    }
    if (flag === "--help") continue; // it was asked for above
    if (!(await help.hasFlag(flag, command, ...path))) return mistake(`there is no ${flag}`);
    if (!word.includes("=") && (await help.takesValue(flag, command, ...path))) i += 1;
  }
  return undefined;
}

/** The files below some folders whose names end so. */
export function filesEndingIn(endings: readonly string[], root: string, folders: readonly string[]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => endings.some((ending) => file.endsWith(ending)))
      .map((file) => join(folder, file)),
  );
}

export function readText(root: string, file: string): string {
  return readFileSync(join(root, file), "utf8");
}

/** What a command like ours might be told to do, some day or elsewhere; never said of it in passing. */
const VERBS: readonly string[] = [
  ...RESERVED_MEMBERS,
  ..."activate add address agent allow approve audit backup check code delegate deny enrol enroll install key keys".split(
    " ",
  ),
  ..."list login name otp policy reload remove rendezvous restore revoke rotate show start stop token uninstall".split(
    " ",
  ),
  ..."unrevoke update user".split(" "),
];

/** Words up to the one with which a sentence or clause ends, its mark taken off. */
function untilSentenceEnd(words: readonly string[]): string[] {
  const end = words.findIndex((word) => /[.,;:)?!'"]$/.test(word) && !word.endsWith("..."));
  if (end < 0) return words.filter((word) => word !== "");
  return [...words.slice(0, end), (words[end] ?? "").replace(/[.,;:)?!'"]+$/, "")].filter((word) => word !== "");
}

interface SyntaxNode {
  readonly type: string;
  readonly [key: string]: unknown;
}

function literalsOf(node: unknown): string[] {
  if (!isSyntaxNode(node)) return [];
  const own: string[] = [];
  if (node.type === "Literal" && typeof node["value"] === "string") own.push(node["value"]);
  if (node.type === "TemplateLiteral") own.push(cooked(node).join("X"));
  const children = Object.values(node).flatMap((value) => (Array.isArray(value) ? value : [value]));
  return [...own, ...children.flatMap(literalsOf)];
}

function cooked(template: SyntaxNode): string[] {
  const quasis = template["quasis"] as readonly { readonly value: { readonly cooked: string } }[];
  return quasis.map(({ value }) => value.cooked);
}

function isSyntaxNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}
