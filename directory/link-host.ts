import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import type { LinkHello } from "../protocol/messages/link.ts";
import type { Answer } from "../protocol/messages/session-request.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import type { Clock } from "./clock.ts";
import type { Freshness } from "./freshness.ts";
import type { Keyring } from "./keyring.ts";
import type { Log } from "./log/log.ts";
import type { NewestKeys } from "./newest-keys.ts";
import type { Party } from "./presence.ts";
import type { Store } from "./store.ts";

/** What a link needs, and whom it tells. */
export interface LinkHost<Link> {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly clock: Clock;
  readonly keyring: Keyring;
  readonly newestKeys: Pick<NewestKeys, "look">;
  readonly freshness: Freshness;
  readonly store: Store;
  readonly statementLog: Pick<Log, "proof" | "proves">;
  /** A hello has come; its takeTurn is to be called when its turn is. */
  waiting(link: Link): void;
  /** It has to say hello, or to be gone, as soon as at the start. */
  awaited(link: Link): void;
  /** The hello holds and the welcome is sent; what is sent from here on follows it. */
  up(link: Link, hello: LinkHello): void;
  /** The clients that have sessions with the device now. */
  watching(link: Link, clients: readonly Party[]): void;
  /** The device has told what it has measured of rendezvous. */
  measured(link: Link): void;
  /** Returns whether the device was asked for it. */
  answered(device: Party, answer: Answer): boolean;
  refused(link: Link, code: RefusalCode, hello: LinkHello): void;
  /** The socket is gone, whether the link was up or not. */
  down(link: Link): void;
  failed(error: unknown): void;
}
