import { finished } from "node:stream/promises";
import type { Duplex } from "node:stream";
import type { PrivateFolder } from "../../keys/private-folder.ts";
import type { Log } from "../log.ts";
import { BUILTIN_FAREWELL_MS } from "../../protocol/limits.ts";
import { Arrivals } from "./arrivals.ts";
import type { Visitor } from "./environment.ts";
import { HostKey } from "./host-key.ts";
import type { SftpServer } from "./sftp-words.ts";
import { Windows } from "./windows.ts";

export interface BuiltinServerOptions {
  /** The keys folder; the host key lies in its state. */
  readonly folder: PrivateFolder;
  readonly log: Log;
  /** `auto` when it is not given. */
  readonly sftpServer?: SftpServer | undefined;
}

export interface AttendOptions {
  /** Public keys, as blobs, that this session admits besides those of authorized_keys, with all rights; `now` in ms since 1970 UTC. */
  readonly admits?: ((key: Uint8Array, now: number) => boolean) | undefined;
  /** Ends the connection. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * An SSH server of the device's own, for a device that has none: exec, shell, sftp and forwards, for accounts that
 * its user may become, by their authorized_keys, whose options alone restrict what they may do. It listens nowhere.
 *
 * Its key exchange is classical (ssh2 has no post-quantum one, of which OpenSSH 10.1 and later warn); here that is no loss,
 * because the channel around it has one.
 */
export class BuiltinServer {
  readonly #key: HostKey;
  readonly #options: BuiltinServerOptions;
  readonly #closing = new AbortController();
  readonly #attending = new Set<Promise<void>>();
  readonly #arrivals = new Arrivals();
  readonly #windows = new Windows();

  private constructor(key: HostKey, options: BuiltinServerOptions) {
    this.#key = key;
    this.#options = options;
  }

  /** Makes the host key at the first start. @throws {SetupError} E_BAD_KEY_FILE, E_KEY_PERMISSIONS, E_STORAGE. */
  static async open(options: BuiltinServerOptions): Promise<BuiltinServer> {
    return new BuiltinServer(await HostKey.readOrMake(options.folder), options);
  }

  /** Public key blobs. */
  hostKeys(): readonly Uint8Array[] {
    return [this.#key.blob];
  }

  /**
   * Serves one SSH connection on a byte stream whose other end the daemon has admitted. Resolves when it has ended, for
   * whatever reason, and nothing that it started is waited for any more.
   */
  async attend(duplex: Duplex, visitor: Visitor, { admits, signal }: AttendOptions = {}): Promise<void> {
    const ends = signal === undefined ? [this.#closing.signal] : [this.#closing.signal, signal];
    const attending = this.#attend(duplex, visitor, { admits, signal: AbortSignal.any(ends) });
    this.#attending.add(attending);
    try {
      await attending;
    } finally {
      this.#attending.delete(attending);
    }
  }

  /** Ends all connections; resolves when nothing of them is left. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#attending);
  }

  async #attend(
    duplex: Duplex,
    visitor: Visitor,
    { admits, signal }: AttendOptions & { signal: AbortSignal },
  ): Promise<void> {
    const { attendConnection } = await import("./attend.ts");
    const over = finished(duplex).catch(() => {});
    const cut = (): void => void duplex.destroy();
    const cutSoon = (): void => void setTimeout(cut, BUILTIN_FAREWELL_MS).unref();
    // SSH knows no half of a connection. But to cut it would tell the client that something broke off.
    duplex.once("end", () => {
      duplex.end();
      cutSoon();
    });
    duplex.once("finish", cutSoon);
    signal.addEventListener("abort", cut, { once: true });
    if (signal.aborted) cut();
    try {
      const { log, sftpServer = "auto" } = this.#options;
      const shared = { arrivals: this.#arrivals, windows: this.#windows };
      const options = { key: this.#key, log, sftpServer, admits, ...shared };
      await attendConnection(duplex, visitor, options, over);
    } finally {
      signal.removeEventListener("abort", cut);
      duplex.destroy();
    }
  }
}
