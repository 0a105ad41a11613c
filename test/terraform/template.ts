import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TERRAFORM } from "./configuration.ts";

/**
 * A template as terraform's templatefile renders it. Ours have names alone in their ${ }, no expressions and no directives, so that this
 * is all there is to it; terraform.test.ts compares the two where there is a terraform.
 * @throws when a name is missing or superfluous, or there is more than names.
 */
export function rendered(file: string, values: Readonly<Record<string, string | number>>): string {
  const text = readFileSync(join(TERRAFORM, file), "utf8");
  if (text.includes("%{")) throw new Error(`${file} has directives`);
  const used = new Set<string>();
  const result = text.replaceAll(/\$?\$\{([^}]*)\}/g, (whole, name: string) => {
    if (whole.startsWith("$$")) return whole.slice(1);
    const value = values[name];
    if (value === undefined) throw new Error(`${file}: ${name} is not given`);
    used.add(name);
    return String(value);
  });
  const superfluous = Object.keys(values).filter((name) => !used.has(name));
  if (superfluous.length > 0) throw new Error(`${file} does not use ${superfluous.join(", ")}`);
  return result;
}
