/** What the AWS provider takes, by its schema: aws-schema.json, which scripts/aws-schema.mjs took from a public package. */
import schemaFile from "./aws-schema.json" with { type: "json" };
import { type Declared, type Json, type JsonObject, list, object } from "./configuration.ts";

interface Attribute {
  readonly type: string;
  readonly required?: boolean;
  readonly of?: Block;
}

interface Block {
  readonly required?: boolean;
  readonly many?: boolean;
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly blocks: Readonly<Record<string, Block>>;
}

interface Type extends Block {
  /** What it has beside its arguments, to their types. */
  readonly read: Readonly<Record<string, string>>;
}

const SCHEMA = schemaFile as unknown as Readonly<
  Record<"resource" | "data" | "ephemeral", Readonly<Record<string, Type>>>
>;

/** Of the language itself, at every resource. */
const META_ATTRIBUTES = new Set(["count", "for_each", "depends_on", "provider"]);
const META_BLOCKS = new Set(["lifecycle", "connection", "provisioner", "dynamic"]);

/** What is wrong with a resource by its schema; empty: nothing. */
export function schemaProblems({ kind, type, body }: Declared): string[] {
  const schema = SCHEMA[kind][type];
  if (schema === undefined) return ["the schema has no such type"];
  return blockProblems(schema, body, "", true);
}

/** Whether something of that name can be read of it. */
export function canRead(kind: Declared["kind"], type: string, name: string): boolean {
  const schema = SCHEMA[kind][type];
  if (schema === undefined) return false;
  const plain = (word: string): string => word.replaceAll("_", ""); // the package writes names without
  return [...Object.keys(schema.attributes), ...Object.keys(schema.blocks), ...Object.keys(schema.read)].some(
    (each) => plain(each) === plain(name),
  );
}

function blockProblems(schema: Block, body: JsonObject, at: string, isTop: boolean): string[] {
  const problems: string[] = [];
  const given = new Set(Object.keys(body));
  for (const [name, value] of Object.entries(body)) {
    if (isTop && META_ATTRIBUTES.has(name)) continue;
    const attribute = schema.attributes[name];
    const block = schema.blocks[name];
    if (attribute !== undefined) problems.push(...attributeProblems(attribute, value, `${at}${name}`));
    else if (block !== undefined) {
      const bodies = list(value);
      if (block.many !== true && bodies.length > 1) problems.push(`${at}${name}: there are several`);
      problems.push(...bodies.flatMap((each) => blockProblems(block, object(each), `${at}${name}.`, false)));
    } else if (name === "dynamic") {
      for (const [dynamic, bodies] of Object.entries(object(value))) {
        given.add(dynamic);
        const made = schema.blocks[dynamic];
        if (made === undefined) problems.push(`${at}${dynamic}: no such block`);
        else {
          const contents = list(bodies).flatMap((each) => list(object(each)["content"]));
          problems.push(...contents.flatMap((each) => blockProblems(made, object(each), `${at}${dynamic}.`, false)));
        }
      }
    } else if (!(isTop && META_BLOCKS.has(name))) problems.push(`${at}${name}: no such argument`);
  }
  for (const [name, { required }] of [...Object.entries(schema.attributes), ...Object.entries(schema.blocks)]) {
    if (required === true && !given.has(name)) problems.push(`${at}${name}: missing`);
  }
  return problems;
}

function attributeProblems({ type }: Attribute, value: Json, at: string): string[] {
  if (typeof value === "string" && value.includes("${")) return []; // known when it runs
  if (value === null || type === "any") return [];
  const isObject = typeof value === "object";
  const isRight = type.startsWith("list(")
    ? Array.isArray(value)
    : type.startsWith("map(")
      ? isObject && !Array.isArray(value)
      : type === "bool"
        ? typeof value === "boolean"
        : type === "number"
          ? typeof value === "number" || (typeof value === "string" && /^[0-9.]+$/.test(value))
          : !isObject; // the provider takes true for "true"
  return isRight ? [] : [`${at}: is to be of type ${type}`];
}
