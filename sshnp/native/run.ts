import { once } from "node:events";
import type { Client, ClientChannel, PseudoTtyOptions } from "ssh2";
import { Escape } from "./escape.ts";
import type { NativeOptions } from "./options.ts";

/**
 * Runs the command, or a shell, of a client that has logged in, on our own terminal and files. Resolves to its exit status,
 * and to 255, as with ssh, when a signal ended it, the connection broke or the person left.
 */
export async function run(client: Client, { command, terminal, noInput }: NativeOptions): Promise<number> {
  const { stdin } = process;
  const hasTerminal = terminal === "yes" || (terminal === "auto" && command === undefined && stdin.isTTY);
  const pty = hasTerminal ? { term: process.env["TERM"] ?? "dumb", ...size() } : undefined;
  let status = 255;
  const channel = await start(client, command, pty, (code) => (status = code));
  const restore = hasTerminal && stdin.isTTY && !noInput ? followTerminal(channel) : undefined;
  try {
    if (noInput) channel.end();
    else if (restore === undefined) stdin.pipe(channel);
    channel.pipe(process.stdout, { end: false });
    channel.stderr.pipe(process.stderr, { end: false });
    client.on("error", () => {}); // the session tells why
    await Promise.race([once(channel, "close"), once(client, "close")]);
    return status;
  } finally {
    restore?.();
    stdin.unpipe(channel);
    stdin.pause();
  }
}

/** What ssh sends by Debian's configuration. */
const VARIABLES = /^(?:LANG|LC_[A-Z]+|COLORTERM|NO_COLOR)$/;

async function start(
  client: Client,
  command: string | undefined,
  pty: PseudoTtyOptions | undefined,
  onExit: (status: number) => void,
): Promise<ClientChannel> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => VARIABLES.test(name)));
  return await new Promise((resolve, reject) => {
    const take = (error: Error | undefined, channel: ClientChannel): void => {
      if (error !== undefined) return reject(error);
      // At once, for the end of a short command comes with the beginning.
      channel.on("exit", (code: number | null) => onExit(code ?? 255));
      resolve(channel);
    };
    if (command === undefined) client.shell(pty ?? false, { env }, take);
    else client.exec(command, { env, ...(pty === undefined ? {} : { pty }) }, take);
  });
}

/** Passes on what is typed, byte by byte, and changes of the window; returns what makes the terminal as it was. */
function followTerminal(channel: ClientChannel): () => void {
  const { stdin, stdout } = process;
  const escape = new Escape();
  const onData = (typed: Uint8Array): void => {
    const { bytes, isLeaving } = escape.push(typed);
    if (bytes.length > 0 && !channel.write(bytes)) {
      stdin.pause();
      channel.once("drain", () => stdin.resume());
    }
    if (isLeaving) channel.emit("close");
  };
  const onResize = (): void => {
    const { cols, rows } = size();
    channel.setWindow(rows, cols, 0, 0);
  };
  stdin.setRawMode(true);
  stdin.on("data", onData).resume(); // whoever asked for a passphrase has paused it
  stdout.on("resize", onResize);
  return () => {
    stdin.setRawMode(false);
    stdin.off("data", onData);
    stdout.off("resize", onResize);
  };
}

function size(): { readonly cols: number; readonly rows: number } {
  const { isTTY, columns, rows } = process.stdout;
  return isTTY ? { cols: columns, rows } : { cols: 80, rows: 24 };
}
