/** What expressions refer to, and whether it is there. */
import { type Configuration, calledFolder, type Json, type JsonObject, textsOf } from "./configuration.ts";
import { canRead } from "./schema.ts";

/** Names that a block gives to what it goes through. */
const ITERATORS = new Set(["each", "count", "self", "path", "terraform"]);

/** What is referred to and is not there, and what is there and not referred to. */
export function referenceProblems(here: Configuration, all: readonly Configuration[]): string[] {
  const problems: string[] = [];
  const used = new Set<string>();
  for (const reference of referencesOf(here)) {
    const [root = "", ...rest] = reference.split(".");
    if (ITERATORS.has(root)) continue;
    const problem = resolve(here, all, root, rest, used);
    if (problem !== undefined) problems.push(`${reference}: ${problem}`);
  }
  for (const name of here.variables.keys())
    if (!used.has(`var.${name}`)) problems.push(`var.${name} is used by nothing`);
  for (const name of here.locals.keys())
    if (!used.has(`local.${name}`)) problems.push(`local.${name} is used by nothing`);
  for (const { kind, type, name } of here.declared) {
    if (kind !== "resource" && !used.has(`${kind}.${type}.${name}`))
      problems.push(`${kind}.${type}.${name} is used by nothing`);
  }
  return problems;
}

/** What calls of modules give them, and what is missing. */
export function callProblems(here: Configuration, all: readonly Configuration[]): string[] {
  return [...here.modules].flatMap(([name, body]) => {
    const called = moduleOf(here, all, name);
    const given = Object.keys(body).filter((key) => !CALL_WORDS.has(key));
    const unknown = given.filter((key) => !called.variables.has(key));
    const missing = [...called.variables].filter(
      ([key, variable]) => variable["default"] === undefined && !given.includes(key),
    );
    return [
      ...unknown.map((key) => `module.${name}: has no ${key}`),
      ...missing.map(([key]) => `module.${name}: ${key} is missing`),
    ];
  });
}

const CALL_WORDS = new Set(["source", "providers", "count", "for_each", "depends_on", "version"]);

function resolve(
  here: Configuration,
  all: readonly Configuration[],
  root: string,
  rest: readonly string[],
  used: Set<string>,
): string | undefined {
  const [first = "", second = "", third] = rest;
  if (root === "var" || root === "local") {
    used.add(`${root}.${first}`);
    return (root === "var" ? here.variables : here.locals).has(first) ? undefined : "not declared";
  }
  if (root === "module") {
    if (!here.modules.has(first)) return "not declared";
    return second === "" || moduleOf(here, all, first).outputs.has(second)
      ? undefined
      : "that module has no such output";
  }
  const isOther = root === "data" || root === "ephemeral";
  const [type, name, attribute] = isOther ? [first, second, third] : [root, first, second];
  const kind = isOther ? root : "resource";
  used.add(`${kind}.${type}.${name}`);
  if (!here.declared.some((each) => each.kind === kind && each.type === type && each.name === name))
    return "not declared";
  return attribute === undefined || attribute === "" || canRead(kind, type, attribute)
    ? undefined
    : "it has no such attribute";
}

function moduleOf(here: Configuration, all: readonly Configuration[], name: string): Configuration {
  const source = here.modules.get(name)?.["source"];
  if (typeof source !== "string") throw new Error(`module.${name} has no source`);
  const folder = calledFolder(here, source);
  const called = all.find((each) => each.folder === folder);
  if (called === undefined) throw new Error(`${folder} has no files`);
  return called;
}

function referencesOf(here: Configuration): Set<string> {
  const values: readonly Json[] = [
    ...here.declared.map(({ body }): JsonObject => body),
    ...here.variables.values(),
    ...here.locals.values(),
    ...here.outputs.values(),
    ...here.modules.values(),
    ...here.rest,
  ];
  const found = new Set<string>();
  for (const text of values.flatMap(textsOf)) {
    for (const expression of expressionsOf(text)) {
      for (const [, reference = ""] of expression.matchAll(REFERENCE))
        found.add(reference.replaceAll(/\[[^\]]*\]/g, ""));
    }
  }
  return found;
}

/** A reference: not behind a dot or a quote, and not a name that something is given. */
const REFERENCE =
  /(?<![\w."$-])((?:var|local|module|data|ephemeral|aws_\w+)(?:\[[^\]]*\])?(?:\.[a-z_]\w*(?:\[(?:[^[\]]|\[[^\]]*\])*\])?)+)/g;

/** What is within ${ }, and quoted texts of it no more, but for what is within ${ } in them. */
function expressionsOf(text: string): string[] {
  const all: string[] = [];
  for (let at = text.indexOf("${"); at !== -1; at = text.indexOf("${", at + 2)) {
    if (text[at - 1] === "$") continue;
    let depth = 1;
    let end = at + 2;
    for (; end < text.length && depth > 0; end++) depth += text[end] === "{" ? 1 : text[end] === "}" ? -1 : 0;
    all.push(text.slice(at + 2, end - 1));
  }
  return all;
}
