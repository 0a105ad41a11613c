import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { SetupError, UnavailableError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { AUDIT_SEND_MS } from "../../protocol/limits.ts";

/** Where syslog goes: TCP with octet counting (RFC 6587), or TLS (RFC 5425). */
export interface ReceiverPlace {
  readonly isSecure: boolean;
  readonly host: string;
  readonly port: number;
  readonly text: string;
}

/** `tcp://HOST:PORT` or `tls://HOST[:6514]`. @throws {SetupError} E_USAGE. */
export function parseReceiver(text: string): ReceiverPlace {
  const [, scheme, bracketed, plain, port] =
    /^(tcp|tls):\/\/(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::([0-9]{1,5}))?$/i.exec(text) ?? [];
  const host = bracketed ?? plain;
  const isSecure = scheme?.toLowerCase() === "tls";
  const number = port === undefined ? (isSecure ? 6514 : undefined) : Number(port);
  if (host === undefined || number === undefined || number < 1 || number > 65_535) {
    throw new SetupError("E_USAGE", `${quoted(text)} is not where syslog can be sent.`, {
      next: "It reads tcp://HOST:PORT or tls://HOST:PORT.",
    });
  }
  return { isSecure, host, port: number, text };
}

/** A connection to a receiver, which confirms nothing: what was sent last may be lost with the connection. */
export class Receiver {
  readonly #socket: Socket;
  readonly #place: ReceiverPlace;
  #isGone = false;

  private constructor(socket: Socket, place: ReceiverPlace) {
    this.#socket = socket;
    this.#place = place;
    socket.on("error", () => (this.#isGone = true));
    socket.on("close", () => (this.#isGone = true));
    // It has nothing to say, and ends when it does.
    socket.on("end", () => (this.#isGone = true)).resume();
  }

  /**
   * `ca`: file with whoever may vouch for its certificate, if not those that Node knows.
   * @throws {UnavailableError} E_UNREACHABLE; {SetupError} E_USAGE; the signal's reason.
   */
  static async open(
    place: ReceiverPlace,
    { ca, signal }: { readonly ca: string | undefined; readonly signal: AbortSignal },
  ): Promise<Receiver> {
    const { host, port, isSecure } = place;
    const trusted = ca === undefined ? {} : { ca: await readCa(ca) };
    const socket = isSecure
      ? connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...trusted })
      : connect({ host, port });
    try {
      const within = AbortSignal.any([signal, AbortSignal.timeout(AUDIT_SEND_MS)]);
      await once(socket, isSecure ? "secureConnect" : "connect", { signal: within });
    } catch (cause) {
      socket.on("error", () => {}).destroy();
      signal.throwIfAborted();
      throw unreachable(place, "cannot be reached", cause);
    }
    return new Receiver(socket, place);
  }

  /** Ends the connection as it is; what was sent and not closed may be lost. */
  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  /** Returns when the system has taken it. @throws {UnavailableError} E_UNREACHABLE; the signal's reason. */
  async send(text: string, signal: AbortSignal): Promise<void> {
    const error = await new Promise<Error | null | undefined>((resolve) => {
      const timer = setTimeout(() => resolve(new Error("too slow")), AUDIT_SEND_MS);
      const abort = (): void => resolve(new Error("aborted"));
      signal.addEventListener("abort", abort, { once: true });
      this.#socket.write(text, (failure) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
        resolve(failure);
      });
    });
    signal.throwIfAborted();
    if (error || this.#isGone) {
      this.#socket.destroy();
      throw unreachable(this.#place, "takes no more", error ?? undefined);
    }
  }

  /** Whether the connection has ended. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Sends what is left, then ends the connection. @throws {UnavailableError} E_UNREACHABLE. */
  async close(): Promise<void> {
    if (this.#socket.destroyed) return;
    const finished = once(this.#socket, "finish", { signal: AbortSignal.timeout(AUDIT_SEND_MS) });
    this.#socket.end();
    try {
      await finished;
    } catch (cause) {
      throw unreachable(this.#place, "takes no more", cause);
    } finally {
      this.#socket.destroySoon();
    }
  }
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new SetupError("E_USAGE", `Cannot read ${shellWord(file)}.`, { next: "Check its path and mode.", cause });
  }
}

function unreachable({ text }: ReceiverPlace, how: string, cause: unknown): UnavailableError {
  return new UnavailableError("E_UNREACHABLE", `The receiver at ${text} ${how}.`, {
    next: "Check that it listens there. With --cursor-file the next export goes on where this one ended.",
    cause,
  });
}
