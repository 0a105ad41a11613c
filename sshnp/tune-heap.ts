/** What carrying bulk data needs, and a start-up would wait for: node:v8 brings much with it. Where it fails, all works as well. */
export function tuneHeap(): void {
  tune().catch(() => {});
}

async function tune(): Promise<void> {
  const { collectWholeHeapAtOnce, keepHeapSmall } = await import("../keys/small-heap.ts");
  keepHeapSmall();
  collectWholeHeapAtOnce();
}
