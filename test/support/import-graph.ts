import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, normalize } from "node:path/posix";
import { parseSync } from "vite";

/** Every source file of the given folders by its path from the root, e.g. `keys/names.ts`. */
export type ImportGraph = ReadonlyMap<string, SourceFile>;

export interface SourceFile {
  readonly path: string;
  /** Static and dynamic imports, re-exports and import types alike; comments and strings are not taken for them. */
  readonly imports: readonly Import[];
  /** Names used that the file may have from nowhere but the global object; a local of such a name counts as well. */
  readonly globals: readonly GlobalUse[];
  /** Values of string and template literals. */
  readonly strings: readonly string[];
  /** What keeps this file from being understood: a syntax error, an import whose target is computed. */
  readonly problems: readonly string[];
}

export interface Import {
  readonly specifier: string;
  /** `file`: a path from the root, whether it exists or not. */
  readonly kind: "file" | "builtin" | "package";
  readonly target: string;
}

export interface GlobalUse {
  readonly name: string;
  /** `.now` for a plain member, `new` where it is made from arguments, `type` for a type, else `value`. */
  readonly form: string;
  readonly line: number;
}

/** Reads all files below the folders, whatever their names; a folder that does not exist has none. */
export function readImportGraph(root: string, folders: readonly string[]): ImportGraph {
  const paths = folders.flatMap((folder) => filesBelow(root, folder)).sort();
  return new Map(paths.map((path) => [path, scanSource(path, readFileSync(join(root, path), "utf8"))]));
}

/** Paths from the root of all files below one of its folders. */
export function filesBelow(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(root, path) : [path];
  });
}

/**
 * Everything the start files reach, themselves included: path or `node:` name or package -> the chain of files that leads there.
 * @param through false for a file whose own imports are not followed
 */
export function reachableFrom(
  graph: ImportGraph,
  start: readonly string[],
  through: (path: string) => boolean = () => true,
): Map<string, string[]> {
  const chains = new Map(start.map((path) => [path, [path]]));
  for (const [path, chain] of chains) {
    if (!through(path)) continue;
    for (const { target } of graph.get(path)?.imports ?? []) {
      if (!chains.has(target)) chains.set(target, [...chain, target]); // a Map also iterates over what is added meanwhile
    }
  }
  return chains;
}

/** One chain of files for each way back that a depth-first walk meets; empty when nothing imports itself in the end. */
export function findCycles(graph: ImportGraph): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  const walk = (path: string, chain: readonly string[]): void => {
    const start = chain.indexOf(path);
    if (start >= 0) cycles.push([...chain.slice(start), path]);
    if (start >= 0 || done.has(path)) return;
    for (const { target } of graph.get(path)?.imports ?? []) walk(target, [...chain, path]);
    done.add(path);
  };
  for (const path of graph.keys()) walk(path, []);
  return cycles;
}

interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly [key: string]: unknown;
}

function scanSource(path: string, text: string): SourceFile {
  const imports: Import[] = [];
  const globals: GlobalUse[] = [];
  const strings: string[] = [];
  const { program, errors } = parseSync(path, text);
  const problems = errors.map((error) => error.message);

  const visit = (node: SyntaxNode, parent: SyntaxNode | undefined, key: string): void => {
    const source = importSource(node);
    if (source !== undefined) {
      const specifier = literalText(source);
      if (specifier === undefined) problems.push("an import whose target is computed");
      else imports.push({ specifier, ...resolve(path, specifier) });
    }
    if (node.type === "TemplateElement") strings.push(text.slice(node.start, Number(node["end"])));
    else strings.push(...[literalText(node)].filter((value) => value !== undefined));
    if (node.type === "Identifier" && !isOnlyAName(parent, key)) {
      const line = text.slice(0, node.start).split("\n").length;
      globals.push({ name: String(node["name"]), form: formOfUse(parent, key), line });
    }
    for (const [childKey, value] of Object.entries(node)) {
      for (const child of Array.isArray(value) ? value : [value]) {
        if (isSyntaxNode(child)) visit(child, node, childKey);
      }
    }
  };
  const top: unknown = program;
  if (isSyntaxNode(top)) visit(top, undefined, "");
  return { path, imports, globals, strings, problems };
}

function isSyntaxNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

/** The node that names the module, where this one imports a module. */
function importSource(node: SyntaxNode): unknown {
  switch (node.type) {
    case "ImportDeclaration":
    case "ExportAllDeclaration":
    case "ImportExpression":
    case "TSImportType":
      return node["source"];
    case "ExportNamedDeclaration":
      return node["source"] ?? undefined;
    case "TSExternalModuleReference":
      return node["expression"];
    default:
      return undefined;
  }
}

function literalText(node: unknown): string | undefined {
  if (!isSyntaxNode(node) || node.type !== "Literal") return undefined;
  return typeof node["value"] === "string" ? node["value"] : undefined;
}

function resolve(from: string, specifier: string): Pick<Import, "kind" | "target"> {
  if (specifier.startsWith("/")) return { kind: "file", target: specifier };
  if (/^\.\.?\//.test(specifier)) return { kind: "file", target: normalize(join(dirname(from), specifier)) };
  if (specifier.startsWith("node:") || builtinModules.includes(specifier))
    return { kind: "builtin", target: specifier };
  const parts = specifier.split("/");
  return { kind: "package", target: parts.slice(0, specifier.startsWith("@") ? 2 : 1).join("/") };
}

/** True where an identifier names a member, a key or a label, and so reads no variable. */
function isOnlyAName(parent: SyntaxNode | undefined, key: string): boolean {
  switch (parent?.type) {
    case "MemberExpression":
      return key === "property" && parent["computed"] === false;
    case "TSQualifiedName":
      return key === "right";
    case "ImportSpecifier":
      return key === "imported";
    case "ExportSpecifier":
      return key === "exported";
    case "LabeledStatement":
    case "BreakStatement":
    case "ContinueStatement":
    case "MetaProperty":
    case "ImportAttribute":
      return key !== "body";
    case "TSImportType":
      return key === "qualifier";
    default:
      return key === "key" && parent?.["computed"] === false;
  }
}

function formOfUse(parent: SyntaxNode | undefined, key: string): string {
  if (parent?.type === "TSTypeReference") return "type";
  if (parent?.type === "NewExpression" && key === "callee") {
    return Array.isArray(parent["arguments"]) && parent["arguments"].length > 0 ? "new" : "value";
  }
  if (parent?.type === "MemberExpression" && key === "object" && parent["computed"] === false) {
    const member = parent["property"];
    return isSyntaxNode(member) ? `.${String(member["name"])}` : "value";
  }
  return "value";
}
