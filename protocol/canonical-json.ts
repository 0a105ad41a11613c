import * as v from "valibot";
import { PeerError } from "../keys/errors.ts";

/**
 * Parses `text` by `schema` and demands that printing the result gives `text` again, byte for byte.
 * So unknown, duplicate, missing and reordered fields, white space, and numbers written in another way
 * are all refused in one stroke, and there is one text only for one meaning.
 *
 * `schema` must list its entries in the order in which they are printed.
 * @throws {PeerError} E_PROTOCOL naming `what` was to be parsed.
 */
export function parseCanonicalJson<Schema extends v.GenericSchema>(
  schema: Schema,
  text: string,
  what: string,
): v.InferOutput<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PeerError("E_PROTOCOL", `${what} is not JSON`, { cause });
  }
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (!result.success) throw new PeerError("E_PROTOCOL", `${what} has a wrong field`);
  if (JSON.stringify(result.output) !== text) throw new PeerError("E_PROTOCOL", `${what} is not in canonical form`);
  return result.output;
}
