import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseSync } from "vite";
import { filesBelow } from "../support/import-graph.ts";

/*
 * What of the sources takes other people's bytes or words apart, found in the sources themselves, so that nobody has to
 * remember a new parser.
 *
 * An export counts as a parser when its name begins like one, or when it does what parsers do, whatever it is called: by
 * itself or through what its file does not export. So renaming a parser does not hide it, nor does putting it into a
 * helper, a class, a schema, an object or the top level of a file. What an export calls in another file is looked at there.
 */

/** `FILE#EXPORT` -> why it counts as a parser. What a file does when it is loaded is called `FILE#(module)`. */
export type ExportedParsers = ReadonlyMap<string, readonly string[]>;

/** @throws {Error} naming the file that cannot be understood. */
export function findExportedParsers(root: string, folders: readonly string[]): ExportedParsers {
  const found = new Map<string, readonly string[]>();
  for (const path of folders.flatMap((folder) => filesBelow(root, folder)).filter((file) => file.endsWith(".ts"))) {
    for (const [name, reasons] of parsersIn(path, readFileSync(join(root, path), "utf8"))) {
      found.set(`${path}#${name}`, reasons);
    }
  }
  return found;
}

/** Exports that begin so are parsers by their name alone. */
const NAME =
  /^(?:parse|decode|read|open|verify|judge|prove|check|scan|dearmor|unseal|receive|accept|is[A-Z]|has[A-Z])|From[A-Z]\w*$|Schema$/;

/** Calls of these, by the last word of what is called. */
const CALLS: ReadonlySet<string> = new Set(
  (
    "parse safeParse safeParseAsync parseAsync parser safeParser is exec test match matchAll split charCodeAt codePointAt " +
    "atob parseInt parseFloat fromEntries decode getUint8 getUint16 getUint32 getBigUint64 getInt8 getInt16 getInt32 " +
    "readUInt8 readUint8 readUInt16BE readUint16BE readUInt32BE readUint32BE readBigUInt64BE readUIntBE " +
    "parseCanonicalJson parseJsonFile"
  ).split(" "),
);
/** `X.CALL` that are no sign of a parser, though their last word is above. */
const HARMLESS_OBJECTS = /^(?:Date|[A-Z]\w*(?:Key|Range))$/;
/** Objects made by these names. */
const MADE: ReadonlySet<string> = new Set([
  "ByteReader",
  "DataView",
  "TextDecoder",
  "URL",
  "URLSearchParams",
  "PeerError",
]);
/** Builders of a schema: what has one refuses or accepts. */
const SCHEMA_CALLS: ReadonlySet<string> = new Set([
  "object",
  "strictObject",
  "looseObject",
  "variant",
  "union",
  "custom",
]);
/** Methods and static functions of an exported class or object that take in what is to be understood. */
const METHOD = /^(?:parse|decode|read[A-Z]?|receive|feed|from[A-Z])/;
/** What bytes come out of. */
const STREAM = /^(?:Readable|Duplex|Socket|ByteSocket|WebSocket|IncomingMessage|ReadableStream)$/;
const BYTES = /^(?:Uint8Array|Buffer|RawData|DataView)$/;

interface SyntaxNode {
  readonly type: string;
  readonly [key: string]: unknown;
}

interface Declaration {
  readonly signs: ReadonlySet<string>;
  /** Identifiers in it, among them what it uses of its file. */
  readonly uses: ReadonlySet<string>;
}

/** The parsers that one file exports or is. */
export function parsersIn(path: string, text: string): [string, readonly string[]][] {
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path}: ${errors.map(({ message }) => message).join("; ")}`);
  const declarations = new Map<string, Declaration>();
  const exported = new Map<string, string>(); // local name -> exported name
  const loose: SyntaxNode[] = [];
  for (const statement of program.body as unknown as SyntaxNode[]) {
    const isExport = statement.type.startsWith("Export");
    const declared = isExport ? (statement["declaration"] as SyntaxNode | null | undefined) : statement;
    if (isExport && Array.isArray(statement["specifiers"]) && statement["source"] == null) {
      for (const specifier of statement["specifiers"] as SyntaxNode[]) {
        exported.set(nameOf(specifier["local"]), nameOf(specifier["exported"]));
      }
    }
    if (declared == null || /^(?:Import|TS|ExportAll)/.test(declared.type)) continue;
    const named = namedParts(declared);
    if (named.length === 0) loose.push(declared);
    for (const [name, node] of named) {
      declarations.set(name, describe(node));
      if (isExport) exported.set(name, statement.type === "ExportDefaultDeclaration" ? "default" : name);
    }
  }

  const reached = new Set<string>();
  const signsOf = (start: Declaration): string[] => {
    const signs = new Set(start.signs);
    const todo = [...start.uses];
    for (const seen = new Set<string>(); todo.length > 0; ) {
      const name = todo.pop() ?? "";
      const declaration = declarations.get(name);
      if (declaration === undefined || exported.has(name) || seen.has(name)) continue;
      seen.add(name);
      reached.add(name);
      for (const sign of declaration.signs) signs.add(sign);
      todo.push(...declaration.uses);
    }
    return [...signs].sort();
  };

  const found: [string, readonly string[]][] = [];
  for (const [local, name] of exported) {
    const declaration = declarations.get(local);
    const signs = declaration === undefined ? [] : signsOf(declaration);
    if (NAME.test(name) && declaration !== undefined) signs.unshift("its name");
    if (signs.length > 0) found.push([name, signs]);
  }
  const top = signsOf({
    signs: new Set(loose.flatMap((node) => [...describe(node).signs])),
    uses: new Set(loose.flatMap((node) => [...describe(node).uses])),
  });
  // What nothing here uses is still a parser that somebody wrote.
  const unused = [...declarations].filter(([name]) => !exported.has(name) && !reached.has(name));
  for (const [name, { signs }] of unused) if (signs.size > 0) found.push([name, [...signs].sort()]);
  if (top.length > 0) found.push(["(module)", top]);
  return found;
}

/** The functions, classes and values that a statement declares, by name. */
function namedParts(node: SyntaxNode): [string, SyntaxNode][] {
  if (node.type === "VariableDeclaration") {
    return (node["declarations"] as SyntaxNode[]).flatMap((one): [string, SyntaxNode][] =>
      namesIn(one["id"] as SyntaxNode).map((name) => [name, one]),
    );
  }
  const isNamed = /^(?:Function|Class)(?:Declaration|Expression)$/.test(node.type);
  return isNamed ? [[node["id"] == null ? "default" : nameOf(node["id"]), node]] : [];
}

function namesIn(pattern: SyntaxNode): string[] {
  if (pattern.type === "Identifier") return [nameOf(pattern)];
  return children(pattern).flatMap(([, child]) => (child.type.startsWith("TS") ? [] : namesIn(child)));
}

function describe(start: SyntaxNode): Declaration {
  const signs = new Set<string>();
  const uses = new Set<string>();
  const bytes = new Set<string>();
  const visit = (node: SyntaxNode): void => {
    if (node.type === "Identifier") {
      uses.add(nameOf(node));
      const type = typeNameOf(node);
      if (type !== undefined && BYTES.test(type)) bytes.add(nameOf(node));
      if (type === "ByteReader") signs.add("takes a ByteReader");
      if (type !== undefined && STREAM.test(type)) signs.add("takes a stream");
    }
    if (node.type === "CallExpression") addCall(node, signs);
    if (node.type === "NewExpression" && MADE.has(nameOf(node["callee"]))) signs.add(`new ${nameOf(node["callee"])}`);
    if (node.type === "NewExpression" && isSyntaxNode((node["arguments"] as unknown[])[0])) {
      if ((node["arguments"] as SyntaxNode[])[0]?.["value"] === "E_PROTOCOL") signs.add("refuses with E_PROTOCOL");
    }
    if (isMethod(node) && METHOD.test(nameOf(node["key"]))) signs.add(`a method ${nameOf(node["key"])}()`);
    if (node.type.startsWith("TS") && !/^TS(?:As|NonNull|Satisfies|Parameter)/.test(node.type)) return;
    for (const [, child] of children(node)) visit(child);
    // After its children, so that parameters are known: bytes taken one by one.
    if (node.type === "MemberExpression" && node["computed"] === true && bytes.has(nameOf(node["object"]))) {
      signs.add("takes single bytes");
    }
    if (node.type === "ForOfStatement" && bytes.has(nameOf(node["right"]))) signs.add("takes single bytes");
    if (node.type === "VariableDeclarator" && isPattern(node["id"]) && bytes.has(nameOf(node["init"]))) {
      signs.add("takes single bytes");
    }
  };
  visit(start);
  return { signs, uses };
}

function addCall(node: SyntaxNode, signs: Set<string>): void {
  const callee = node["callee"] as SyntaxNode;
  const isMember = callee.type === "MemberExpression";
  const name = nameOf(isMember ? callee["property"] : callee);
  const object = isMember ? nameOf(callee["object"]) : "";
  if (object === "v" && SCHEMA_CALLS.has(name)) signs.add("a schema");
  if (object === "Buffer" && name === "from" && (node["arguments"] as unknown[]).length > 1) signs.add("Buffer.from");
  if (CALLS.has(name) && !HARMLESS_OBJECTS.test(object) && (isMember || /^(?:atob|parse|is)/.test(name))) {
    signs.add(isMember ? `.${name}()` : `${name}()`);
  }
}

/** A public one, or a function in an object. */
function isMethod(node: SyntaxNode): boolean {
  if (node.type === "Property") return isSyntaxNode(node["value"]) && /Function/.test(node["value"].type);
  return node.type === "MethodDefinition" && isSyntaxNode(node["key"]) && node["key"].type === "Identifier";
}

function isPattern(node: unknown): boolean {
  return isSyntaxNode(node) && node.type === "ArrayPattern";
}

function typeNameOf(identifier: SyntaxNode): string | undefined {
  const annotation = identifier["typeAnnotation"];
  const inner = isSyntaxNode(annotation) ? annotation["typeAnnotation"] : undefined;
  return isSyntaxNode(inner) && inner.type === "TSTypeReference" ? nameOf(inner["typeName"]) : undefined;
}

function nameOf(node: unknown): string {
  if (!isSyntaxNode(node)) return "";
  const name = node["name"] ?? node["value"];
  return typeof name === "string" ? name : "";
}

function children(node: SyntaxNode): [string, SyntaxNode][] {
  return Object.entries(node).flatMap(([key, value]): [string, SyntaxNode][] =>
    (Array.isArray(value) ? value : [value]).filter(isSyntaxNode).map((child): [string, SyntaxNode] => [key, child]),
  );
}

function isSyntaxNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}
