import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { TERMINAL_HEAP_MIB, TERMINAL_ORDER_BYTES, TERMINAL_START_MS } from "../../protocol/limits.ts";
import { bareEnvironment } from "../programs.ts";
import { TERMINAL_PROGRAM } from "../terminal-program.ts";
import type { LoginAccount } from "./login-account.ts";
import { runPiped } from "./piped.ts";
import type { ProcessEnd, Running, WindowSize } from "./running.ts";
import { encodeHeldOrder, encodeHeldRequest, parseHeldReport } from "./held-words.ts";

/**
 * Runs a program behind a terminal that a process of its own holds (terminal-child.ts), which becomes the account ahead of
 * making it. That process ends with the socket between the two, so with this process too.
 * @throws {Error} with the `code` of the system when it cannot be started, and when it can make no terminal.
 */
export async function runHeld(
  { login, uid, gid }: LoginAccount,
  program: readonly string[],
  env: Readonly<Record<string, string>>,
  size: WindowSize,
): Promise<Running> {
  const words = [process.execPath, `--max-old-space-size=${TERMINAL_HEAP_MIB}`, TERMINAL_PROGRAM];
  // It starts as we do, for the account need not be able to read Node and this package; of the session's environment it
  // sees nothing until it is the account, for Node looks for packages below HOME.
  const holder = await runPiped({ uid, gid }, words, bareEnvironment(), { hasControl: true });
  const { control } = holder;
  if (control === undefined) throw new Error("there is no socket to the holder of the terminal");
  holder.errors.resume();
  const reports = new Reports(control);
  const become = process.geteuid?.() === 0 ? { login, uid, gid } : undefined;
  control.write(encodeHeldRequest({ become, program, env, size }));
  const started = new AbortController();
  const isStarted = await Promise.race([
    reports.isStarted,
    pause(TERMINAL_START_MS, false, { signal: started.signal }).catch(() => false),
  ]);
  started.abort();
  if (!isStarted) {
    control.destroy();
    holder.signal("SIGKILL");
    holder.hangUp();
    throw new Error("there is neither script(1) of util-linux nor a working @lydell/node-pty to make a terminal");
  }
  // Nobody waits for an answer to a size or a signal. While the holder takes none, the last size alone is kept.
  let kept: WindowSize | undefined;
  const order = (what: { readonly signal: NodeJS.Signals } | WindowSize): void => {
    const isFull = control.writableLength > TERMINAL_ORDER_BYTES;
    if (!isFull) control.write(encodeHeldOrder(what));
    else if (!("signal" in what)) kept = what;
  };
  control.on("drain", () => {
    const last = kept;
    kept = undefined;
    if (last !== undefined) order(last);
  });
  return {
    ...holder,
    errors: undefined,
    exited: reports.end.then(async (end) => end ?? (await holder.exited)),
    signal: (name) => order({ signal: name }),
    resize: order,
    hangUp: () => {
      control.destroy();
      holder.signal("SIGKILL");
      holder.hangUp();
    },
  };
}

/** What the holder tells. It runs as the account, so it is believed no more than the account's programs are. */
class Reports {
  readonly isStarted: Promise<boolean>;
  /** Undefined when it has ended without telling how its program did. */
  readonly end: Promise<ProcessEnd | undefined>;

  constructor(control: Socket) {
    let onStart: (isStarted: boolean) => void = () => {};
    this.isStarted = new Promise((resolve) => (onStart = resolve));
    this.end = new Promise((resolve) => {
      let text = "";
      control.setEncoding("latin1").on("data", (more: string) => {
        text += more;
        const lines = text.split("\n");
        text = lines.pop() ?? "";
        for (const report of lines.map(parseHeldReport)) {
          if (report === "started") onStart(true);
          else if (report !== undefined) resolve(report);
        }
        if (text.length > HELD_REPORT_CHARACTERS) control.destroy();
      });
      control.once("close", () => {
        onStart(false);
        resolve(undefined);
      });
    });
  }
}

/** Of one line; the longest is `signal STKFLT`. */
const HELD_REPORT_CHARACTERS = 32;
