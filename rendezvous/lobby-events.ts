import type { Ed25519PublicKey } from "../keys/ed25519.ts";
import type { LegHello } from "../protocol/leg-hello.ts";
import type { Refusal } from "./hello-verdict.ts";

/** Names one leg while its socket lives; none is used twice. */
export type LegId = number;

export interface Instant {
  /** ms since 1970 UTC, as the directory counts: what tickets expire by. */
  readonly time: number;
  /** ms of a clock that never steps: what waits are measured with. */
  readonly monotonic: number;
}

export type LobbyEvent =
  /** A socket was accepted. `origin` groups those of one address; undefined: the address tells nothing. */
  | { readonly type: "arrive"; readonly leg: LegId; readonly origin: string | undefined }
  | { readonly type: "hello"; readonly leg: LegId; readonly hello: LegHello }
  /** What came is no hello. */
  | { readonly type: "malformed"; readonly leg: LegId }
  /** So many bytes came after the hello of a leg that is not joined. */
  | { readonly type: "early"; readonly leg: LegId; readonly bytes: number }
  /** The socket is gone. */
  | { readonly type: "closed"; readonly leg: LegId }
  /** The directory's ticket keys are these, or still these; they count until `expires` (ms since 1970 UTC). */
  | { readonly type: "keys"; readonly ticketKeys: readonly Ed25519PublicKey[]; readonly expires: number }
  | { readonly type: "tick" };

export type LobbyAction =
  /** Tell both so, then carry their bytes. */
  | { readonly type: "join"; readonly sid: Uint8Array; readonly client: LegId; readonly device: LegId }
  /** Tell it so, then close. */
  | { readonly type: "refuse"; readonly leg: LegId; readonly status: Refusal }
  /** Destroy its socket. */
  | { readonly type: "cut"; readonly leg: LegId }
  /** Ask the directory for its key list, then send `keys`. */
  | { readonly type: "askForKeys" };
