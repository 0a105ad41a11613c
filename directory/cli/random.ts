import { randomBytes } from "node:crypto";
import type { RandomBytes } from "../../keys/cipher-suite.ts";

/** The system's randomness. */
export const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));
