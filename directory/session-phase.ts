import type { X25519PublicKey } from "../keys/x25519.ts";
import { WAIT_MS, WAIT_UNHEARD_MS } from "../protocol/limits.ts";
import type { Frame } from "../protocol/messages/response-frames.ts";
import type { SessionRequest } from "../protocol/messages/session-request.ts";
import type { ConnectWatch } from "./connect-observer.ts";
import type { Offer } from "./offers.ts";
import type { PresentDevice } from "./presence.ts";
import type { ResponseStream } from "./response-stream.ts";

/** A request that may be put to its device: the client is who it says, and the device's binding was the current one. */
export interface CheckedRequest {
  readonly request: SessionRequest;
  readonly sender: X25519PublicKey;
  /** When the device was last seen, ms since 1970; undefined when never. */
  readonly lastSeen: number | undefined;
  /** The device, if it was to be found; a link to this process that came since then is taken instead. */
  readonly found: PresentDevice | undefined;
}

export interface WaitingPhase {
  readonly kind: "waiting";
  readonly until: number;
  /** Since when nobody listens. */
  readonly unheardSince: number | undefined;
}

/** Where a session stands. Times are monotonic ms. */
export type Phase =
  | WaitingPhase
  | AskedPhase
  | {
      readonly kind: "answered";
      readonly offer: Promise<Offer | undefined>;
      readonly answer: Frame;
      readonly until: number;
    };

export interface Session extends CheckedRequest {
  /** The session id in hex. */
  readonly sid: string;
  readonly requestHash: Uint8Array;
  /** The newest POST of this request. */
  stream: ResponseStream | undefined;
  phase: Phase;
}

export interface AskedPhase {
  readonly kind: "asked";
  readonly offer: Promise<Offer | undefined>;
  readonly device: PresentDevice;
  readonly until: number;
  readonly watch: ConnectWatch | undefined;
  /** Whether it had no link where it was asked, and was nowhere else at that time. */
  readonly isGone?: boolean;
}

/** A request's first phase. `now` is monotonic. */
export function waitingPhase({ request }: Pick<CheckedRequest, "request">, now: number): WaitingPhase {
  const until = now + Math.min(request.waitSeconds * 1000, WAIT_MS);
  return { kind: "waiting", until, unheardSince: undefined };
}

/** Whether a request has waited for as long as it may, or for too long with nobody listening. `now` is monotonic. */
export function hasWaited({ until, unheardSince }: WaitingPhase, now: number): boolean {
  return now >= until || (unheardSince !== undefined && now >= unheardSince + WAIT_UNHEARD_MS);
}
