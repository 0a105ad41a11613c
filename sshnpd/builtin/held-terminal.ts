import type { Socket } from "node:net";
import { TERMINAL_HEAP_MIB } from "../../protocol/limits.ts";
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
  if (!(await reports.isStarted)) {
    holder.signal("SIGKILL");
    holder.hangUp();
    throw new Error("there is neither script(1) of util-linux nor a working @lydell/node-pty to make a terminal");
  }
  return {
    ...holder,
    errors: undefined,
    exited: reports.end.then(async (end) => end ?? (await holder.exited)),
    signal: (name) => void control.write(encodeHeldOrder({ signal: name })),
    resize: (to) => void control.write(encodeHeldOrder(to)),
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
