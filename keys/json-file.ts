import * as v from "valibot";
import { utf8, utf8Text } from "./bytes.ts";
import { assert } from "./errors.ts";

/**
 * The bytes of `value` as a file: JSON, fields in the order of `schema`, indented by two spaces, with a final newline.
 * `schema` must accept `value`, so that what is written can be read back.
 */
export function printJsonFile<T>(schema: v.GenericSchema<T>, value: T): Uint8Array {
  const result = v.safeParse(schema, value, { abortEarly: true });
  assert(result.success, "what is written to a file can be read back");
  return utf8(textOf(result.output));
}

/**
 * The value in a file that {@link printJsonFile} could have written, byte for byte: unknown, duplicate, missing and
 * reordered fields are refused in one stroke. Undefined for any other file; why is not told, as it may hold secrets.
 */
export function parseJsonFile<T>(schema: v.GenericSchema<T>, bytes: Uint8Array): T | undefined {
  let text: string;
  let json: unknown;
  try {
    text = utf8Text(bytes);
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const result = v.safeParse(schema, json, { abortEarly: true });
  return result.success && textOf(result.output) === text ? result.output : undefined;
}

function textOf(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
