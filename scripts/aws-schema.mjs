// Takes the parts of the AWS provider's schema that terraform/ uses from a public package that carries all of it:
//   npm pack @cdktn/provider-aws && tar xzf cdktn-provider-aws-*.tgz && node scripts/aws-schema.mjs package
// That package is made by a program from the provider's own schema. Writes test/terraform/aws-schema.json.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { parse } from "@cdktn/hcl2json";

const [folder = "package"] = process.argv.slice(2);
const root = join(import.meta.dirname ?? ".", "..");
const files = (await readdir(join(root, "terraform"), { recursive: true })).filter((name) => name.endsWith(".tf"));
const used = { resource: new Set(), data: new Set(), ephemeral: new Set() };
for (const name of files) {
  const parsed = await parse(name, await readFile(join(root, "terraform", name), "utf8"));
  for (const [kind, types] of Object.entries(used)) {
    for (const type of Object.keys(parsed[kind] ?? {})) if (type.startsWith("aws_")) types.add(type);
  }
}

const schema = { provider: JSON.parse(await readFile(join(folder, "package.json"), "utf8")).cdktn?.provider?.version };
for (const [kind, types] of Object.entries(used)) {
  schema[kind] = {};
  for (const type of [...types].sort((a, b) => (a < b ? -1 : 1)))
    schema[kind][type] = await schemaOf(type, kind !== "resource");
}
await writeFile(join(root, "test/terraform/aws-schema.json"), `${JSON.stringify(schema, null, 1)}\n`);

/** One type: its arguments, its blocks, and what can be read of it beside them. */
async function schemaOf(type, isData) {
  const name = `${isData ? "data-aws-" : ""}${type.slice("aws_".length).replaceAll("_", "-")}`;
  const declared = await readFile(join(folder, "lib", name, "index.d.ts"), "utf8");
  const code = await readFile(join(folder, "lib", name, "index.js"), "utf8");
  schema.provider ??= /\/aws\/([0-9.]+)\/docs/.exec(declared)?.[1];
  const interfaces = new Map(
    [...declared.matchAll(/^export interface (\w+)[^{]*\{\n([\s\S]*?)^\}/gm)].map(([, key, body]) => [key, body]),
  );
  const [, main] = /^export interface (\w+) extends cdktn\.TerraformMetaArguments/m.exec(declared) ?? [];
  if (main === undefined) throw new Error(`${type}: no configuration`);
  const [, body = ""] =
    new RegExp(`^export declare class ${main.slice(0, -"Config".length)} [^{]*\\{\\n([\\s\\S]*?)^\\}`, "m").exec(
      declared,
    ) ?? [];
  const { attributes, blocks } = argumentsOf(main, interfaces, partsOf(code));
  const reads = [...body.matchAll(/^ {4}get (\w+)\(\): ([^\n]*);/gm)].map(([, key, kind]) => [
    key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    plainType(kind),
  ]);
  const read = Object.fromEntries(
    reads.filter(([key]) => !key.endsWith("_input") && !hasName(attributes, key) && !hasName(blocks, key)),
  );
  return { attributes, blocks, read };
}

function hasName(record, key) {
  const plain = (word) => word.replaceAll("_", "");
  return Object.keys(record).some((other) => plain(other) === plain(key));
}

/** Of each struct, which of its names are blocks. */
function partsOf(code) {
  const parts = new Map();
  for (const [, struct, body] of code.matchAll(/^function (\w+)ToHclTerraform\(struct\) \{\n([\s\S]*?)^\}/gm)) {
    parts.set(struct.toLowerCase(), body);
  }
  const [, own = ""] = /^ {4}synthesizeHclAttributes\(\) \{\n([\s\S]*?)^ {4}\}/m.exec(code) ?? [];
  parts.set("", own);
  return parts;
}

function argumentsOf(key, interfaces, parts, isNested = false) {
  const attributes = {};
  const blocks = {};
  const written = parts.get(isNested ? key.toLowerCase() : "") ?? "";
  const isBlock = (name) => new RegExp(`^ +${name}: \\{\\n +value: .*\\n +isBlock: true`, "m").test(written);
  for (const [, comment, optional, type] of interfaces
    .get(key)
    .matchAll(/\/\*\*([\s\S]*?)\*\/\n {4}readonly \w+(\??): ([\s\S]*?);\n(?= {4}\/\*\*|$)/g)) {
    const [, name] = /#(\w+) \w+#\1\}/.exec(comment) ?? [];
    if (name === undefined) continue;
    const [struct] = /\w+/.exec(type) ?? [];
    const nested = interfaces.has(struct) ? argumentsOf(struct, interfaces, parts, true) : undefined;
    const about = optional === "" ? { required: true } : {};
    if (nested !== undefined && isBlock(name))
      blocks[name] = { ...about, ...(type.includes("[]") ? { many: true } : {}), ...nested };
    else
      attributes[name] = {
        ...about,
        type: nested === undefined ? plainType(type) : "any",
        ...(nested === undefined ? {} : { of: nested }),
      };
  }
  return { attributes, blocks };
}

/** As terraform writes types; any: it may be whatever it likes. */
function plainType(type) {
  if (type.startsWith("{")) return /:\s*string/.test(type) ? "map(string)" : "any";
  const [word] = /^(?:string|number|boolean)/.exec(type.replace(/^Array</, "")) ?? [];
  if (word === undefined) return "any";
  const plain = word === "boolean" ? "bool" : word;
  return type.includes("[]") ? `list(${plain})` : plain;
}
