/**
 * Makes sure that process.exit() ends this process. In Node 24, V8's threads may be compiling then, find the heap full and wait for
 * the main thread to collect garbage; but that waits for them to end, for ever (nodejs/node issue 54918). So the garbage is
 * collected at exit, after which there is room for whatever they compile. It takes some 10 ms. A process that ends by itself, as
 * directory and rendezvous do, needs none of this: Node tells the threads then.
 */
export function endEvenWhileCompiling(): void {
  if (Number.parseInt(process.versions.node, 10) < 24) return;
  process.once("exit", () => {
    process.getBuiltinModule("node:v8").setFlagsFromString("--expose-gc");
    process.getBuiltinModule("node:vm").runInNewContext("gc")();
  });
}
