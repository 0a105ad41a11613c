import { utf8 } from "../keys/bytes.ts";

/** The version of everything on the wire: first field of every prologue and signature. */
export const LABEL = "sshnp/1";

/** The same as one byte, ahead of every sealed message and first in every ticket. */
export const LABEL_VERSION = 1;

/** LABEL as UTF-8. */
export const LABEL_BYTES: Uint8Array = utf8(LABEL);
