import { finished } from "node:stream/promises";
import type { Duplex } from "node:stream";
import type { PrivateFolder } from "../../keys/private-folder.ts";
import type { Log } from "../log.ts";
import { BUILTIN_FAREWELL_MS } from "../../protocol/limits.ts";
import type { Visitor } from "./environment.ts";
import { HostKey } from "./host-key.ts";
import type { SftpServer } from "./sftp-words.ts";

export interface BuiltinServerOptions {
  /** The keys folder; the host key lies in its state. */
  readonly folder: PrivateFolder;
  readonly log: Log;
  /** Whether a client may connect through the device to a host and port (`ssh -L`, `-D`). Not given: nowhere. */
  readonly mayForward?: ((host: string, port: number) => boolean) | undefined;
  /** Whether a client may have ports of the device's loopback lead to it (`ssh -R`). Not given: it may not. */
  readonly mayListen?: boolean | undefined;
  /** `auto` when it is not given. */
  readonly sftpServer?: SftpServer | undefined;
}

export interface AttendOptions {
  /** Public keys, as blobs, that this session admits besides those of authorized_keys, with all rights. */
  readonly admits?: ((key: Uint8Array) => boolean) | undefined;
  /** Ends the connection. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * An SSH server of the device's own, for a device that has none: exec, shell, sftp and, where permitted, forwards, for
 * accounts that its user may become, by their authorized_keys. It listens nowhere.
 *
 * Its key exchange is classical (ssh2 has no post-quantum one, of which OpenSSH 10.1 and later warn); here that is no loss,
 * because the channel around it has one.
 */
export class BuiltinServer {
  readonly #key: HostKey;
  readonly #options: BuiltinServerOptions;
  readonly #closing = new AbortController();
  readonly #attending = new Set<Promise<void>>();

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
    duplex.once("end", cut); // SSH knows no half of a connection
    duplex.once("finish", () => setTimeout(cut, BUILTIN_FAREWELL_MS).unref());
    signal.addEventListener("abort", cut, { once: true });
    if (signal.aborted) cut();
    try {
      const { log, mayForward, mayListen = false, sftpServer = "auto" } = this.#options;
      const options = { key: this.#key, log, mayForward, mayListen, sftpServer, admits };
      await attendConnection(duplex, visitor, options, over);
    } finally {
      signal.removeEventListener("abort", cut);
      duplex.destroy();
    }
  }
}
