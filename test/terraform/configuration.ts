/** Terraform's files as data: what each folder declares, and what it says of it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parse } from "@cdktn/hcl2json";

export const TERRAFORM = join(import.meta.dirname, "../../terraform");

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type JsonObject = { readonly [name: string]: Json };

/** A resource, a data source or an ephemeral one. */
export interface Declared {
  readonly kind: "resource" | "data" | "ephemeral";
  readonly type: string;
  readonly name: string;
  readonly body: JsonObject;
}

/** All that the files of one folder declare together. */
export interface Configuration {
  /** Relative to terraform/, as in modules/network. */
  readonly folder: string;
  readonly declared: readonly Declared[];
  readonly variables: ReadonlyMap<string, JsonObject>;
  readonly locals: ReadonlyMap<string, Json>;
  readonly outputs: ReadonlyMap<string, JsonObject>;
  readonly modules: ReadonlyMap<string, JsonObject>;
  /** Providers, and what terraform itself is told. */
  readonly rest: readonly Json[];
}

/** Every folder under terraform/ that has files of it. */
export async function configurations(): Promise<readonly Configuration[]> {
  const folders = ["modules", "examples"].flatMap((kind) => foldersUnder(join(TERRAFORM, kind)));
  return await Promise.all(folders.map(configuration));
}

function foldersUnder(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  const below = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith("."));
  const own = entries.some(({ name }) => name.endsWith(".tf")) ? [folder] : [];
  return [...own, ...below.flatMap(({ name }) => foldersUnder(join(folder, name)))];
}

async function configuration(folder: string): Promise<Configuration> {
  const names = readdirSync(folder).filter((name) => name.endsWith(".tf"));
  const files = await Promise.all(
    names.map(async (name) => (await parse(name, readFileSync(join(folder, name), "utf8"))) as JsonObject),
  );
  const all = (key: string): JsonObject[] =>
    files.flatMap((file) => (file[key] === undefined ? [] : [object(file[key])]));
  const named = (key: string): Map<string, JsonObject> =>
    unique(all(key).flatMap((each) => Object.entries(each).map(([name, bodies]) => [name, only(bodies)] as const)));
  return {
    folder: relative(TERRAFORM, folder),
    declared: (["resource", "data", "ephemeral"] as const).flatMap((kind) =>
      all(kind).flatMap((types) =>
        Object.entries(types).flatMap(([type, byName]) =>
          Object.entries(object(byName)).map(([name, bodies]) => ({ kind, type, name, body: only(bodies) })),
        ),
      ),
    ),
    variables: named("variable"),
    locals: unique(files.flatMap((file) => list(file["locals"]).flatMap((each) => Object.entries(object(each))))),
    outputs: named("output"),
    modules: named("module"),
    rest: files.flatMap((file) => [file["provider"] ?? null, file["terraform"] ?? null]),
  };
}

/** A folder as a call of a module names it. @throws when there is none. */
export function calledFolder({ folder }: Configuration, source: string): string {
  const called = join(folder, source);
  if (!existsSync(join(TERRAFORM, called))) throw new Error(`${folder}: there is no ${source}`);
  return called;
}

/** Every text within, expressions included. */
export function textsOf(value: Json): string[] {
  if (typeof value === "string") return [value];
  if (value === null || typeof value !== "object") return [];
  if (isList(value)) return value.flatMap(textsOf);
  return Object.entries(value).flatMap(([name, each]) => [name, ...textsOf(each)]);
}

export function object(value: Json | undefined): JsonObject {
  if (value === undefined || value === null || typeof value !== "object" || isList(value))
    throw new Error(`no object: ${JSON.stringify(value)}`);
  return value;
}

export function list(value: Json | undefined): readonly Json[] {
  return value === undefined ? [] : typeof value === "object" && value !== null && isList(value) ? value : [value];
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function only(bodies: Json): JsonObject {
  const [body, ...others] = list(bodies);
  if (others.length > 0) throw new Error("declared twice");
  return object(body);
}

function unique<Value>(entries: readonly (readonly [string, Value])[]): Map<string, Value> {
  const all = new Map(entries);
  if (all.size !== entries.length) throw new Error("declared twice");
  return all;
}
