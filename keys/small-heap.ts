import { setFlagsFromString } from "node:v8";

/**
 * For programs that copy bulk data: keeps V8's young generation at its first size. Each chunk of 64 KiB is a small object on
 * the heap and much memory outside of it. In a large young generation so few objects come together that the memory
 * outside asks for a collection of the whole heap first, dozens of them for each GiB; in a small one they are gone before.
 */
export function keepYoungGenerationSmall(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
}
