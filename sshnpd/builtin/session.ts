import { once } from "node:events";
import { setImmediate as immediate, setTimeout as pause } from "node:timers/promises";
import type { Writable } from "node:stream";
import type { PseudoTtyInfo, WindowChangeInfo } from "ssh2";
import { BUILTIN_LEFT_MS, BUILTIN_QUIET_MS, BUILTIN_VARIABLES } from "../../protocol/limits.ts";
import { shellWords, wordsAs } from "./account-words.ts";
import { ChannelOutput } from "./channel-output.ts";
import type { ChannelContext } from "./connection-context.ts";
import { environmentOf, isAccepted, terminalType } from "./environment.ts";
import { guardChannel } from "./guard-channel.ts";
import { runPiped } from "./piped.ts";
import type { Running, WindowSize } from "./running.ts";
import { sftpWords } from "./sftp-words.ts";
import type { ServerChannel, Session } from "./ssh2.ts";
import { runInTerminal, type TerminalRequest } from "./terminal.ts";

/** What a client wants to be run. */
type Wish = { readonly command: string | undefined } | { readonly subsystem: "sftp" };

/**
 * Serves one channel of type session: an exec, a shell or sftp. Resolves when it is closed and what was started for it has
 * ended, or has been hung up and had its time.
 */
export async function serveSession(session: Session, context: ChannelContext): Promise<void> {
  const { rights } = context;
  const variables = new Map<string, string>();
  let terminal: TerminalRequest | undefined;
  let running: Running | undefined;
  let isStarted = false;
  let underWay: Promise<void> | undefined;
  const closed = new AbortController();
  const close = (): void => closed.abort();
  context.signal.addEventListener("abort", close, { once: true });
  session.once("close", () => {
    close();
    context.signal.removeEventListener("abort", close);
  });

  session.on("env", (accept: Reply, reject: Reply, { key, val }: { key: string; val: string }) => {
    const isTaken = !isStarted && variables.size < BUILTIN_VARIABLES && isAccepted(key, val);
    if (isTaken) variables.set(key, val);
    (isTaken ? accept : reject)?.();
  });
  session.on("pty", (accept: Reply, reject: Reply, info: PseudoTtyInfo & { readonly term?: string }) => {
    if (!rights.pty || isStarted || terminal !== undefined) return reject?.();
    const modes = info.modes as unknown as TerminalRequest["modes"];
    terminal = { type: terminalType(info.term ?? ""), modes, ...sizeOf(info) };
    accept?.();
  });
  session.on("window-change", (_accept: Reply, _reject: Reply, info: WindowChangeInfo) => {
    if (terminal === undefined) return;
    terminal = { ...terminal, ...sizeOf(info) };
    attempt(() => running?.resize(sizeOf(info)));
  });
  session.on("signal", (_accept: Reply, _reject: Reply, { name }: { name: string }) => {
    // As sshd: what the key's owner forced to run is not for whoever has the key to stop.
    if (rights.command === undefined && SIGNALS.has(name))
      attempt(() => running?.signal(`SIG${name}` as NodeJS.Signals));
  });
  // What is thrown here, ssh2 takes for a fault of the client's, and ends the connection with all its channels.
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      context.log.warn({ err: error }, "a request of a session could not be met");
    }
  };
  const begin = (accept: () => ServerChannel, wish: Wish): void => {
    isStarted = true;
    const channel = accept();
    guardChannel(channel, context);
    channel.on("error", () => {});
    underWay = run(channel, wish);
    context.track(underWay);
  };
  session.on("exec", (accept, reject: Reply, { command }) => {
    if (command.includes("\0"))
      reject?.(); // no process can be given that
    else begin(accept, { command });
  });
  session.on("shell", (accept) => begin(accept, { command: undefined }));
  session.on("subsystem", (accept: () => ServerChannel, reject: Reply, { name }: { name: string }) => {
    if (name === "sftp") begin(accept, { subsystem: "sftp" });
    else reject?.();
  });
  await once(closed.signal, "abort");
  await underWay;

  async function run(channel: ServerChannel, wish: Wish): Promise<void> {
    const output = new ChannelOutput(channel, context.transport);
    const asked = terminal;
    try {
      running = await start(wish);
    } catch (error) {
      context.log.warn({ login: context.account.login, err: error }, "nothing can be run for a session");
      channel.stderr.write("This session cannot be started here; the log of the device says why.\n");
      channel.exit(255);
      channel.end();
      return;
    }
    let timer: NodeJS.Timeout | undefined;
    let giveUp = (): void => {};
    const hasHadItsTime = new Promise<void>((resolve) => (giveUp = resolve));
    const hangUp = (): void => {
      running?.hangUp();
      output.close();
      channel.resume();
      timer = setTimeout(giveUp, BUILTIN_LEFT_MS).unref();
    };
    closed.signal.addEventListener("abort", hangUp, { once: true });
    if (closed.signal.aborted) hangUp();
    if (terminal !== undefined && terminal !== asked) running.resize(terminal); // the window has changed meanwhile
    await Promise.race([serve(channel, running, output, closed.signal), hasHadItsTime]);
    clearTimeout(timer);
    closed.signal.removeEventListener("abort", hangUp);
    if (terminal !== undefined) running.hangUp();
  }

  async function start(wish: Wish): Promise<Running> {
    const { account, visitor } = context;
    const asked = "subsystem" in wish ? wish.subsystem : wish.command;
    const env = environmentOf(account, visitor, variables);
    if (rights.command !== undefined && asked !== undefined) env["SSH_ORIGINAL_COMMAND"] = asked;
    const isSftp = rights.command === undefined ? "subsystem" in wish : rights.command === "internal-sftp";
    if (isSftp) return await runPiped(account, await sftpWords(account, context.sftpServer), env);
    const program = shellWords(account, rights.command ?? asked);
    if (terminal !== undefined) return await runInTerminal(account, program, env, terminal);
    return await runPiped(account, wordsAs(account, program), env);
  }
}

/** ssh2 gives it when the client asked for a reply. */
type Reply = (() => void) | undefined;

/** Of RFC 4254 section 6.10. */
const SIGNALS: ReadonlySet<string> = new Set("ABRT ALRM FPE HUP ILL INT KILL PIPE QUIT SEGV TERM USR1 USR2".split(" "));
/** What winsize of ioctl_tty(2) can hold. */
const MAX_SIZE = 0xffff;

async function serve(
  channel: ServerChannel,
  { input, output, errors, exited }: Running,
  to: ChannelOutput,
  signal: AbortSignal,
): Promise<void> {
  feed(channel, input);
  const copied = Promise.all([to.copy(output, "output"), errors === undefined ? undefined : to.copy(errors, "errors")]);
  const end = await exited;
  if ("status" in end) channel.exit(end.status);
  else channel.exit(end.signal, false, "");
  const quiet = new AbortController();
  // Behind pipes, as with sshd, the session lasts until nobody has them open any more.
  await (errors === undefined
    ? Promise.race([copied, untilQuiet(to, AbortSignal.any([signal, quiet.signal]))])
    : copied);
  quiet.abort();
  channel.end();
  channel.resume();
}

/** What the client sends goes to the process, its end included; when the process takes no more it goes nowhere. */
function feed(channel: ServerChannel, input: Writable): void {
  channel.pipe(input);
  const letGo = (): void => {
    channel.unpipe(input);
    channel.resume();
  };
  input.once("error", letGo).once("close", letGo);
}

async function untilQuiet(output: ChannelOutput, signal: AbortSignal): Promise<void> {
  let before = -1;
  while (!signal.aborted && (output.isBlocked || output.progress !== before)) {
    before = output.progress;
    await pause(BUILTIN_QUIET_MS, undefined, { signal }).catch(() => {});
    await immediate(); // what came while this process did not run is read between the two
  }
}

function sizeOf({ cols, rows }: { readonly cols: number; readonly rows: number }): WindowSize {
  const within = (value: number, usual: number): number => (value >= 1 && value <= MAX_SIZE ? value : usual);
  return { columns: within(cols, 80), rows: within(rows, 24) };
}
