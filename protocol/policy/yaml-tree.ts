/**
 * The YAML of a policy, read into a tree in which every scalar is the text that stands there (YAML's failsafe schema), so
 * that no `no`, `010` or `1e3` turns into something else; what a text means is its field's to say.
 *
 * Of YAML 1.2 there are maps, lists, plain and quoted texts and comments, block and flow style. Anchors, aliases (and so
 * merge keys), tags, directives, block texts, explicit keys and further documents are refused token by token, before
 * anything is made of them. So is depth: the library composes by recursion, and an overflow within one of its regular
 * expressions ends the whole process.
 */
import { Composer, CST, isMap, isScalar, isSeq, Lexer, LineCounter, Parser, type YAMLError } from "yaml";
import { utf8 } from "../../keys/bytes.ts";
import { assert, SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { POLICY_BYTES, POLICY_DEPTH } from "../limits.ts";
import { type Position, problem } from "./problem.ts";
import type { NothingNode, TextNode, Tree } from "./tree.ts";

/**
 * @param text at most POLICY_BYTES, counted as JSON prints it, which is how it stands in the statement.
 * @throws {SetupError} E_POLICY with line and column for whatever is not as said above.
 */
export function readYamlTree(text: string): Tree {
  refuseLength(text);
  refuseCharacters(text);
  const lines = new LineCounter();
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const composer = new Composer({ version: "1.2", schema: "failsafe", strict: true, uniqueKeys: false, merge: false });
  const documents = [...composer.compose(permittedTokens(text, lines, at), true, text.length)];
  const [document, another] = documents;
  assert(document !== undefined, "there is a document, if an empty one");
  const [first] = document.errors; // it warns of directives and tags alone
  if (first !== undefined) throw syntaxProblem(first, text, at);
  if (another !== undefined) {
    throw problem(at(another.range[0]), "a second document begins.", "A policy is one document: take this one out.");
  }
  return treeOf(document.contents, 0, at);
}

function refuseLength(text: string): void {
  const most = `A policy has at most ${POLICY_BYTES} bytes, counted as it stands in its statement, where quotes and line ends take two.`;
  // The first look spares printing what is far too long.
  const bytes = text.length > POLICY_BYTES ? text.length : utf8(JSON.stringify(text)).length;
  if (bytes <= POLICY_BYTES) return;
  throw new SetupError("E_POLICY", `The policy is too long: ${bytes} bytes.`, { next: most });
}

/**
 * What cannot be seen, or changes how the rest is seen: controls, bidirectional marks, what has no width, tags, lone
 * surrogates. Listed one by one, because Unicode's own classes grow, and two platforms must agree on a signed policy.
 */
const UNSEEN =
  "\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f" +
  "\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ud800-\\udfff\\ufeff\\uffa0\\ufff0-\\ufffb\\ufffe\\uffff\\u{e0000}-\\u{e0fff}";
const STRANGE = new RegExp(`[${UNSEEN}]|\\r(?!\\n)`, "u");
const STRANGE_IN_VALUE = new RegExp(`[\\t\\n\\r${UNSEEN}]`, "u");

function refuseCharacters(text: string): void {
  const found = STRANGE.exec(text);
  if (found === null) return;
  const before = text.slice(0, found.index);
  const column = found.index - before.lastIndexOf("\n");
  throw strangeCharacter({ line: before.split("\n").length, column }, found[0]);
}

function strangeCharacter(at: Position, character: string): SetupError {
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  return problem(at, `the character U+${code} stands here.`, "Use characters that can be seen, spaces and line ends.");
}

/** What there is no need for, by the library's word for its token. */
const REFUSED_TOKENS: ReadonlyMap<string | null, readonly [fact: string, next: string]> = new Map([
  [
    "alias",
    [
      "an alias of YAML stands here.",
      'Write the text out. If it is a pattern that begins with *, put it in quotes: "*-gw".',
    ],
  ],
  [
    "anchor",
    [
      "an anchor of YAML stands here.",
      "Write the value out wherever it is needed; groups and tags are there to be named.",
    ],
  ],
  [
    "tag",
    [
      "a tag of YAML stands here.",
      "Leave it out: what a value means is said by its field. A text that begins with ! needs quotes.",
    ],
  ],
  [
    "directive-line",
    ["a directive of YAML stands here.", "Leave the line out. A text that begins with % needs quotes."],
  ],
  ["block-scalar-header", ["a block of text begins here.", "Write the text on one line."]],
  [
    "explicit-key-ind",
    ["an explicit key of YAML begins here.", "Write fields as NAME: VALUE. A text that begins with ? needs quotes."],
  ],
  ["doc-end", ["the mark of a document's end stands here.", "Leave the line out: a policy is one document."]],
  [
    "flow-error-end",
    [
      "this line is not indented as far as the bracket or brace that is still open.",
      "Close the list or map first, or indent the line further.",
    ],
  ],
  [null, ["this cannot be read.", "Use maps, lists and texts."]],
]);

function* permittedTokens(
  text: string,
  lines: LineCounter,
  at: (offset: number) => Position,
): Generator<CST.Token, void> {
  lines.addNewLine(0);
  const parser = new Parser(lines.addNewLine);
  let isText = false;
  for (const lexeme of new Lexer().lex(text)) {
    const type: CST.TokenType | null = isText ? "scalar" : CST.tokenType(lexeme);
    const refused = isText ? undefined : REFUSED_TOKENS.get(type);
    if (refused !== undefined) throw endProblem(parser.offset, text, at) ?? problem(at(parser.offset), ...refused);
    isText = !isText && type === "scalar"; // the mark of a plain text; the text is the next lexeme
    yield* parser.next(lexeme);
    if (parser.stack.filter((token) => COLLECTIONS.has(token.type)).length > POLICY_DEPTH) {
      throw problem(
        at(parser.offset),
        `lists and maps are nested deeper than ${POLICY_DEPTH}.`,
        "No field of a policy needs that.",
      );
    }
  }
  yield* parser.end();
}

const COLLECTIONS = new Set(["block-map", "block-seq", "flow-collection"]);

/** The library's codes in our words. */
const SYNTAX: Readonly<Record<string, readonly [fact: string, next: string]>> = {
  BAD_INDENT: [
    "the indentation is wrong here, or a bracket or brace above is not closed.",
    "Indent the fields of one map, and the items of one list, by the same number of spaces.",
  ],
  TAB_AS_INDENT: ["a tab indents this line.", "Indent with spaces."],
  MISSING_CHAR: [
    "something is missing here.",
    "See whether a quote, a bracket or a brace is not closed, or a comma, a colon or the space behind it is missing.",
  ],
  BAD_DQ_ESCAPE: [
    "this is no escape that YAML knows.",
    "Write a backslash in double quotes twice, or use single quotes.",
  ],
  MULTILINE_IMPLICIT_KEY: [
    "the name of a field goes over several lines.",
    "Write NAME: VALUE; see whether a colon or a quote is missing.",
  ],
  BLOCK_AS_IMPLICIT_KEY: [
    "one value stands here, but a field begins in it.",
    "See whether the next line is indented too far. A text with a colon and a space in it needs quotes.",
  ],
};

/** Whatever is wrong at the very end is wrong because something before it is not closed. */
function endProblem(offset: number, text: string, at: (offset: number) => Position): SetupError | undefined {
  if (offset < text.trimEnd().length) return undefined;
  return problem(
    at(offset),
    "the policy ends here, with a quote, a bracket or a brace still open.",
    "Close it; if it is a quote, look for it further up.",
  );
}

function syntaxProblem({ code, pos }: YAMLError, text: string, at: (offset: number) => Position): SetupError {
  const [offset] = pos;
  const end = endProblem(offset, text, at);
  if (end !== undefined) return end;
  if (code === "BAD_SCALAR_START") {
    const isName = text[offset] === "@";
    return isName
      ? problem(at(offset), "YAML keeps @ for itself.", 'Put names in quotes: "@acme/alice".')
      : problem(at(offset), "a text begins with a character that YAML keeps for itself.", "Put it in quotes.");
  }
  return problem(
    at(offset),
    ...(SYNTAX[code] ?? [
      "this does not fit here.",
      "See whether the line above it is complete, and whether a text with : # , [ or { in it needs quotes.",
    ]),
  );
}

function treeOf(node: unknown, offset: number, at: (offset: number) => Position): Tree {
  if (isScalar(node)) {
    const start = node.range?.[0] ?? offset;
    return textOf(node.value, node.type === "PLAIN", at(start));
  }
  if (isSeq(node)) {
    const start = node.range?.[0] ?? offset;
    return { kind: "list", items: node.items.map((item) => treeOf(item, start, at)), at: at(start) };
  }
  if (isMap(node)) {
    const start = node.range?.[0] ?? offset;
    const entries: { key: TextNode; value: Tree }[] = [];
    const seen = new Map<string, Position>();
    for (const pair of node.items) {
      const key = treeOf(pair.key, start, at);
      if (key.kind !== "text") throw problem(key.at, "the name of a field is not a text.", "Write NAME: VALUE.");
      const before = seen.get(key.text);
      if (before !== undefined) {
        throw problem(
          key.at,
          `${quoted(key.text)} stands here a second time.`,
          `Keep one of them; the other is on line ${before.line}.`,
        );
      }
      seen.set(key.text, key.at);
      entries.push({
        key,
        value: pair.value === null ? { kind: "nothing", at: key.at } : treeOf(pair.value, start, at),
      });
    }
    return { kind: "map", entries, at: at(start) };
  }
  return { kind: "nothing", at: at(offset) };
}

function textOf(value: unknown, isPlain: boolean, at: Position): TextNode | NothingNode {
  assert(typeof value === "string", "the failsafe schema has texts alone");
  if (value === "" && isPlain) return { kind: "nothing", at };
  const strange = STRANGE_IN_VALUE.exec(value);
  if (strange !== null) throw strangeCharacter(at, strange[0]);
  return { kind: "text", text: value, at };
}
