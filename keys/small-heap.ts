import { setFlagsFromString } from "node:v8";

/**
 * Keeps V8's young generation at the size it starts with, and what is garbage of the old one below a third of what is not.
 * Under load the first would grow to 48 MB and the second to twice its size, and give nothing back: a long-running process
 * would be as large for ever as a minute of attack has made it. What our services keep of all they handle is little, so
 * that collecting it more often costs next to nothing. To be called before it grows: "starts with" means what it has by then.
 */
export function keepHeapSmall(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--heap-growing-percent=30");
  // V8 13 lets a multiple of this lie outside of the heap before it looks for what of it is garbage, and twice what V8 11 did.
  if (Number.parseInt(process.versions.node, 10) >= 24) setFlagsFromString("--scavenger-max-new-space-capacity-mb=4");
}

/**
 * For processes that carry bulk data, whose heap is small. Each chunk of 64 KiB is a small object on the heap and much memory
 * outside of it, and it is gone at the next collection of the young generation. But V8 counts the memory outside against the
 * limit at which it begins to mark the whole heap step by step; so under load it does that all the time, twenty times a second,
 * for a fifth of the processor. Without the steps it collects the whole heap, all at once, when that is really full.
 */
export function collectWholeHeapAtOnce(): void {
  setFlagsFromString("--no-incremental-marking");
}
