import { equalBytes } from "../keys/bytes.ts";
import type { Duplex } from "node:stream";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import { Carried } from "./join-stream.ts";
import type { Log } from "./log.ts";
import { refuseOtherLogin } from "./other-login.ts";
import { CERTIFIED_KEYS } from "../protocol/limits.ts";
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

/** A key with a certificate of this device, and for whom that was made. */
interface Certified extends Pick<SshVisitor, "client" | "member" | "login"> {
  readonly key: Uint8Array;
  readonly until: number;
}

/** How it is loaded and opened, once and when it is first needed. */
export type OpenBuiltin = () => Promise<BuiltinServer>;

/** `--ssh-mode builtin`. */
export class BuiltinMode implements SshServer {
  readonly mode = "builtin";
  readonly #open: OpenBuiltin;
  #server: Promise<BuiltinServer> | undefined;

  readonly #onlyLogin: string | undefined;
  #certified: readonly Certified[] = [];

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
      this.#remember(visitor);
      await server.attend(stream, visitor, { admits: (key, now) => this.#admits(visitor, key, now) });
    };
    void attend()
      .catch((error: unknown) => {
        log.warn({ reason: error instanceof Error ? error.message : "" }, "the built-in SSH server gives a stream up");
        stream.refuse("failed");
      })
      .finally(() => carried.end());
    return carried;
  }

  /** A certificate is good for any of its sessions, as at sshd: of two ssh that share an agent, one may show the other's key. */
  #admits({ client, member, login, certified }: SshVisitor, key: Uint8Array, now: number): boolean {
    if (certified === undefined) return false;
    this.#certified = this.#certified.filter(({ until }) => now < until);
    if (now < certified.until && equalBytes(certified.key, key)) return true;
    return this.#certified.some(
      (one) => one.client === client && one.member === member && one.login === login && equalBytes(one.key, key),
    );
  }

  #remember({ client, member, login, certified }: SshVisitor): void {
    if (certified === undefined) return;
    const { key, until } = certified;
    this.#certified = [...this.#certified.slice(1 - CERTIFIED_KEYS), { client, member, login, key, until }];
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
