/*
 * A process of its own for each terminal where there is no script(1). Started by a daemon that runs as root, it becomes the
 * account for good ahead of making the terminal, and starts one program and no other: the terminal's descriptor is open in
 * whatever a process starts later (docs/decisions/0028-terminals-are-held-outside.md). What is typed comes on standard
 * input; sizes and signals, and the end of all, come on descriptor 3, where the program's end is told.
 */
import { once } from "node:events";
import { Socket } from "node:net";
import { chdir } from "node:process";
import { createInterface } from "node:readline";
import { setImmediate as immediate, setTimeout as pause } from "node:timers/promises";
import { BUILTIN_QUIET_MS } from "../../protocol/limits.ts";
import { becomeAccount } from "./become-account.ts";
import { encodeHeldReport, type HeldRequest, readHeldOrder, readHeldRequest } from "./held-words.ts";
import { runNative } from "./native-terminal.ts";

const control = new Socket({ fd: 3 });
// The daemon is gone, or lets go: the kernel hangs up for whoever is left behind the terminal.
control.on("error", () => {}).once("close", () => process.exit(1));
const lines = createInterface({ input: control, terminal: false });
const [request] = (await once(lines, "line")) as [string];
await hold(readHeldRequest(request));

async function hold({ become, program, env, size }: HeldRequest): Promise<void> {
  chdir("/");
  if (become !== undefined) becomeAccount(become.login, become.uid, become.gid);
  const running = runNative(program, env, size);
  lines.on("line", (line) => {
    const order = readHeldOrder(line);
    if ("signal" in order) running.signal(order.signal);
    else running.resize(order);
  });
  control.write(encodeHeldReport("started"));
  process.stdin.on("error", () => {}).pipe(running.input);
  // Node's own standard output waits within the write while nobody reads, and C-c would wait with it.
  const output = new Socket({ fd: 1, readable: false, writable: true });
  output.on("error", () => {});
  running.output.pipe(output);
  let progress = 0;
  running.output.on("data", () => progress++);
  const end = await running.exited;
  // Told when all that was printed is on its way, or when nothing more comes though something keeps the terminal open.
  await Promise.race([once(output, "close"), untilQuiet()]);
  if (output.destroyed) control.end(encodeHeldReport(end));
  else control.write(encodeHeldReport(end));

  async function untilQuiet(): Promise<void> {
    for (let before = -1; before !== progress || output.writableNeedDrain; ) {
      before = progress;
      await pause(BUILTIN_QUIET_MS);
      await immediate(); // what came while this process did not run is read between the two
    }
  }
}
