import type { Fingerprint } from "./openssh.ts";
import type { SignedTextJson } from "./signed-text.ts";

/** How this machine came to believe a peer's owner key. */
export type PinOrigin = "given" | "first contact" | "accepted" | "rotation";

/** What this machine remembers of a name: the pin of its owner key. */
export interface OwnerPin {
  readonly v: 1;
  readonly name: string;
  /** The owner key as OpenSSH public key line. */
  readonly owner: string;
  readonly origin: PinOrigin;
  /** ms since 1970 UTC. */
  readonly since: number;
  readonly statement: SignedTextJson;
  /** Fingerprints of new owner keys that the user accepted ahead of the next connect. */
  readonly accepted: readonly string[];
  /**
   * Fingerprints of owner keys that have handed the name on, the latest last. No fingerprint that is given lets them in
   * again. Undefined in pins from before they were kept: which they were is not known.
   */
  readonly former?: readonly string[] | undefined;
}

/** What this machine remembers of one member of a name. */
export interface MemberPin {
  readonly v: 1;
  readonly name: string;
  readonly member: string;
  /** The owner key that signed the binding, as OpenSSH public key line. */
  readonly owner: string;
  /** The newest binding seen; an older one is refused, whoever of the owners that handed the name on signed it. */
  readonly binding: SignedTextJson;
  /** The delegation by which it was made, if the owner did not sign it himself. */
  readonly delegation: SignedTextJson | null;
  /** SSH host keys as OpenSSH public key lines; empty for clients. */
  readonly hostKeys: readonly string[];
  /** Fingerprints of new host keys that the user accepted ahead of the next connect. */
  readonly accepted: readonly string[];
}

/** What is remembered of one peer, undefined where it has not been met. */
export interface PeerPins {
  readonly owner: OwnerPin | undefined;
  readonly member: MemberPin | undefined;
  /** The newest revocation of the member that was seen, if one was. */
  readonly revoked?: SeenRevocation | undefined;
}

/** That an owner has revoked a member. */
export interface SeenRevocation {
  /** The number of the statement. */
  readonly seq: number;
  /** The owner key that signed it, as OpenSSH public key line. */
  readonly owner: string;
}

/** The pin with one more accepted fingerprint. */
export function withAccepted<Pin extends OwnerPin | MemberPin>(pin: Pin, accepted: Fingerprint): Pin {
  return { ...pin, accepted: [...pin.accepted.filter((text) => text !== accepted), accepted] };
}
