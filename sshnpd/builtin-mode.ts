import { equalBytes } from "../keys/bytes.ts";
import type { Duplex } from "node:stream";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import { Carried } from "./join-stream.ts";
import type { Log } from "./log.ts";
import { refuseOtherLogin } from "./other-login.ts";
import { ownLoginUnlessRoot } from "./session-keys.ts";
import type { Served, SshServer, SshVisitor } from "./ssh-server.ts";

/** An SSH server in this process. */
export interface BuiltinServer {
  hostKeys(): readonly Uint8Array[];
  /** Speaks SSH on the duplex, to its end. */
  attend(
    duplex: Duplex,
    visitor: SshVisitor,
    options: { readonly admits: (key: Uint8Array, now: number) => boolean },
  ): Promise<void>;
  close(): unknown;
}

/** How it is loaded and opened, once and when it is first needed. */
export type OpenBuiltin = () => Promise<BuiltinServer>;

/** `--ssh-mode builtin`. */
export class BuiltinMode implements SshServer {
  readonly mode = "builtin";
  readonly #open: OpenBuiltin;
  #server: Promise<BuiltinServer> | undefined;

  readonly #onlyLogin: string | undefined;

  /** `onlyLogin`: the only user who can log in; undefined: any. */
  constructor(open: OpenBuiltin, onlyLogin: string | undefined = ownLoginUnlessRoot()) {
    this.#open = open;
    this.#onlyLogin = onlyLogin;
  }

  async hostKeys(login: string): Promise<readonly Uint8Array[]> {
    refuseOtherLogin(login, this.#onlyLogin);
    return (await this.#opened()).hostKeys();
  }

  serve(stream: ChannelStream, visitor: SshVisitor, log: Log): Served {
    const carried = new Carried();
    const attend = async (): Promise<void> => {
      const server = await this.#opened();
      if (stream.destroyed) return;
      stream.accept();
      const { certified } = visitor;
      const admits = (key: Uint8Array, now: number): boolean =>
        certified !== undefined && now < certified.until && equalBytes(key, certified.key);
      await server.attend(stream, visitor, { admits });
    };
    void attend()
      .catch((error: unknown) => {
        log.warn({ reason: error instanceof Error ? error.message : "" }, "the built-in SSH server gives a stream up");
        stream.refuse("failed");
      })
      .finally(() => carried.end());
    return carried;
  }

  async close(): Promise<void> {
    const server = await this.#server?.catch(() => undefined);
    await server?.close();
  }

  async #opened(): Promise<BuiltinServer> {
    // What failed may have been mended by the next time.
    this.#server ??= this.#open().catch((error: unknown) => {
      this.#server = undefined;
      throw error;
    });
    return await this.#server;
  }
}
