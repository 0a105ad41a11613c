import { SshnpError } from "../../keys/errors.ts";
import { type PublicKeyLine, parsePublicKeyLine } from "../../keys/openssh.ts";
import { AUTHORIZED_KEYS_LINE_CHARACTERS } from "../../protocol/limits.ts";

/** An option in front of a key; `value` is what stood in its quotes. */
export interface KeyOption {
  /** Lower case. */
  readonly name: string;
  readonly value: string | undefined;
}

/** A line of authorized_keys, AUTHORIZED_KEYS FILE FORMAT of sshd(8). */
export interface KeyLine {
  readonly key: PublicKeyLine;
  readonly options: readonly KeyOption[];
}

/**
 * What a line of authorized_keys admits; undefined for a comment, an empty line, and whatever cannot be read to its end:
 * a line that is half understood admits nobody.
 */
export function parseKeyLine(line: string): KeyLine | undefined {
  const text = line.trim();
  if (text === "" || text.startsWith("#") || text.length > AUTHORIZED_KEYS_LINE_CHARACTERS) return undefined;
  const bare = parseKey(text);
  if (bare !== undefined) return { key: bare, options: [] };
  const read = readOptions(text);
  const key = read === undefined ? undefined : parseKey(text.slice(read.length).trim());
  return read === undefined || key === undefined ? undefined : { key, options: read.options };
}

const OPTION_NAME = /^[A-Za-z0-9-]{1,64}/;

function parseKey(text: string): PublicKeyLine | undefined {
  const [, type, encoded] = /^([a-z0-9@.-]+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t]|$)/.exec(text) ?? [];
  if (type === undefined || encoded === undefined) return undefined;
  try {
    return parsePublicKeyLine(`${type} ${encoded}`);
  } catch (error) {
    if (error instanceof SshnpError) return undefined;
    throw error;
  }
}

function readOptions(text: string): { readonly options: KeyOption[]; readonly length: number } | undefined {
  const options: KeyOption[] = [];
  let at = 0;
  for (;;) {
    const name = OPTION_NAME.exec(text.slice(at))?.[0];
    if (name === undefined) return undefined;
    at += name.length;
    let value: string | undefined;
    if (text.startsWith('="', at)) {
      // In quotes only \" means something else than itself.
      const [quoted, inner = ""] = /^"((?:\\"|[^"])*)"/.exec(text.slice(at + 1)) ?? [];
      if (quoted === undefined) return undefined;
      value = inner.replaceAll('\\"', '"');
      at += 1 + quoted.length;
    }
    options.push({ name: name.toLowerCase(), value });
    const next = text[at];
    if (next === " " || next === "\t") return { options, length: at };
    if (next !== ",") return undefined;
    at += 1;
  }
}
