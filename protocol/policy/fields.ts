/** What the parsers of a policy's parts share: fields, lists and texts, or a problem that says what is expected. */
import type { SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { nearest } from "./nearest.ts";
import { problem } from "./problem.ts";
import type { MapNode, TextNode, Tree } from "./tree.ts";

/** What is parsed, as it is called in a sentence, and how it is to be written. */
export interface Expected {
  readonly what: string;
  readonly form: string;
}

export type Fields = ReadonlyMap<string, Tree>;

/** The fields of a map that has `known` ones alone. @throws {SetupError} E_POLICY naming the nearest known one. */
export function fieldsOf(tree: Tree, what: string, known: readonly string[]): Fields {
  if (tree.kind !== "map") throw wrongKind(tree, { what, form: `It has the fields ${known.join(", ")}.` });
  for (const { key, value } of tree.entries) {
    if (known.includes(key.text)) continue;
    const isRest = value.kind === "nothing" && key.text.includes(" ");
    const next = isRest ? "A text with a comma in it needs quotes." : meant(key.text, known, "Its fields are");
    throw problem(key.at, `${what} has no field ${quoted(key.text)}.`, next);
  }
  return new Map(tree.entries.map(({ key, value }) => [key.text, value]));
}

/** A field of `tree` that must be there. @throws {SetupError} E_POLICY. */
export function required(tree: Tree, fields: Fields, name: string, { what, form }: Expected): Tree {
  const found = fields.get(name);
  if (found === undefined) throw problem(tree.at, `${what} has no ${name}.`, form);
  return found;
}

/** What stands behind the names that the policy's writer chose; none where there is no such map, or nothing in it. */
export function entriesOf(tree: Tree | undefined, expected: Expected): MapNode["entries"] {
  if (tree === undefined || tree.kind === "nothing") return [];
  if (tree.kind !== "map") throw wrongKind(tree, expected);
  return tree.entries;
}

/** The items of a list; none where there is no such list, or nothing in it. */
export function itemsOf(tree: Tree | undefined, expected: Expected): readonly Tree[] {
  if (tree === undefined || tree.kind === "nothing") return [];
  if (tree.kind !== "list") throw wrongKind(tree, expected);
  return tree.items;
}

/** The texts of a list that has one at least, so that a list commented out never means all. */
export function someTexts(tree: Tree, expected: Expected): readonly TextNode[] {
  const items = tree.kind === "nothing" ? [] : itemsOf(tree, expected);
  if (items.length === 0) throw problem(tree.at, `${expected.what} is empty.`, expected.form);
  return items.map((item) => textOf(item, { ...expected, what: `an entry of ${expected.what}` }));
}

export function textOf(tree: Tree, expected: Expected): TextNode {
  if (tree.kind !== "text") throw wrongKind(tree, expected);
  return tree;
}

/** What a word that is not known was probably meant to be, or which ones there are. */
export function meant(word: string, known: readonly string[], introduction: string): string {
  const near = nearest(word, known);
  if (near !== undefined) return `Did you mean ${quoted(near)}?`;
  if (known.length === 0) return `${introduction} none.`;
  const more = known.length > 12 ? ` and ${known.length - 12} more` : "";
  return `${introduction} ${known.slice(0, 12).join(", ")}${more}.`;
}

const KINDS = { text: "a text", list: "a list", map: "a map" } as const;

function wrongKind(tree: Tree, { what, form }: Expected): SetupError {
  const fact = tree.kind === "nothing" ? `${what} is empty.` : `${what} is ${KINDS[tree.kind]} here.`;
  return problem(tree.at, fact, form);
}
