import { closeSync, constants, fstatSync, openSync, statSync, writeSync } from "node:fs";
import { finished } from "node:stream/promises";
import { SshnpError } from "../keys/errors.ts";
import { printable } from "../keys/print-error.ts";
import type { StandardStreams } from "./relay.ts";

/*
 * With ControlMaster and ControlPersist, ssh gives its ProxyCommand /dev/null as standard error, because the proxy outlives
 * whoever started it (sshconnect.c, ssh_proxy_connect). What a person must read then takes other ways: what went wrong goes
 * to ssh itself, in words of its own protocol, and notes go to the terminal, where ssh asks its questions too.
 */

/** Whether what this process writes to standard error is read by nobody. */
export function isStderrThrownAway(): boolean {
  try {
    const stderr = fstatSync(2);
    return stderr.isCharacterDevice() && stderr.rdev === statSync("/dev/null").rdev;
  } catch {
    return false;
  }
}

/** Writes to the terminal; where there is none, to nobody. It is not held open, for this process may outlive it. */
export function writeToTerminal(text: string): void {
  try {
    const terminal = openSync("/dev/tty", constants.O_WRONLY);
    writeSync(terminal, text);
    closeSync(terminal);
  } catch {
    // Whoever started ssh has no terminal.
  }
}

/** Has ssh print the error. Returns when ssh has hung up, or after HEARD_MS. */
export async function tellSsh(failure: unknown, ssh: StandardStreams): Promise<void> {
  if (!ssh.to.writable) return;
  // ssh sends its own first packets before it reads what we say, and would find a broken pipe.
  const gone = finished(ssh.from, { writable: false, signal: AbortSignal.timeout(HEARD_MS) });
  ssh.from.resume();
  ssh.to.on("error", ignore);
  ssh.to.end(disconnectBytes(failure));
  await gone.catch(() => {});
}

function ignore(): void {}

/** From our words to ssh's end there is no network. */
const HEARD_MS = 3_000;

/**
 * An SSH server's first bytes that say why there is no session: its identification (RFC 4253 section 4.2), then
 * SSH_MSG_DISCONNECT (11.1), which may come at any time. OpenSSH prints
 * `Received disconnect from UNKNOWN port 65535:7: TEXT`, up to 400 characters of TEXT.
 *
 * ```
 * "SSH-2.0-sshnp\r\n"
 * u32be packet length, u8 padding length, u8 1, u32be 7 (service not available), string TEXT, string "", padding
 * ```
 */
export function disconnectBytes(error: unknown): Uint8Array {
  return disconnect(SERVICE_NOT_AVAILABLE, textOf(error));
}

/** The same of a client that leaves a server as soon as that has said what it is. */
export function goodbyeBytes(): Uint8Array {
  return disconnect(BY_APPLICATION, "looked at");
}

function disconnect(reason: number, words: string): Uint8Array {
  const text = Buffer.from(words, "ascii");
  const payload = Buffer.alloc(1 + 4 + 4 + text.length + 4);
  payload[0] = SSH_MSG_DISCONNECT;
  payload.writeUInt32BE(reason, 1);
  payload.writeUInt32BE(text.length, 5);
  text.copy(payload, 9);
  const padding = paddingFor(4 + 1 + payload.length);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + payload.length + padding, 0);
  head[4] = padding;
  return Buffer.concat([Buffer.from("SSH-2.0-sshnp\r\n"), head, payload, Buffer.alloc(padding)]);
}

const SSH_MSG_DISCONNECT = 1;
/** SSH_DISCONNECT_SERVICE_NOT_AVAILABLE, RFC 4253 section 11.1. */
const SERVICE_NOT_AVAILABLE = 7;
/** SSH_DISCONNECT_BY_APPLICATION, in the same place. */
const BY_APPLICATION = 11;
/** What OpenSSH shows of it. */
const MAX_TEXT = 400;

/** Of the fact, when the next step needs the room. */
const LEAST_FACT = 100;

/** Fact, next step and code as far as there is room; the code always, and rather the next step, in which there are commands. */
function textOf(error: unknown): string {
  if (!(error instanceof SshnpError)) {
    return printable(`This is a bug: ${error instanceof Error ? error.message : String(error)} [E_BUG]`).slice(
      0,
      MAX_TEXT,
    );
  }
  const code = `[${error.code}]`;
  const room = MAX_TEXT - code.length - 1;
  const next = error.next === undefined ? "" : ` ${printable(error.next)}`;
  const fact = shortened(printable(error.message), Math.max(LEAST_FACT, room - next.length));
  return `${fact}${shortened(next, room - fact.length)} ${code}`;
}

function shortened(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 3)}...`;
}

/** To a multiple of 8 bytes, at least 4 (RFC 4253 section 6). */
function paddingFor(length: number): number {
  const padding = 8 - (length % 8);
  return padding < 4 ? padding + 8 : padding;
}
