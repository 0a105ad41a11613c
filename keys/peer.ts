import type { SignedTextJson } from "./signed-text.ts";

/** How this machine came to believe a peer's owner key. */
export type PinOrigin = "given" | "first contact" | "accepted";

/** What this machine remembers of one peer's name: the pin of its owner key, and of each member it has met. */
export interface PeerFile {
  readonly v: 1;
  readonly name: string;
  /** The owner key as OpenSSH public key line. */
  readonly owner: string;
  readonly origin: PinOrigin;
  /** ms since 1970 UTC. */
  readonly since: number;
  readonly statement: SignedTextJson;
  readonly members: readonly PeerMember[];
  /** Fingerprints of new keys (owner or host) that the user accepted ahead of the next connect. */
  readonly accepted: readonly string[];
}

export interface PeerMember {
  readonly member: string;
  /** The newest binding seen; an older one is refused. */
  readonly binding: SignedTextJson;
  /** SSH host keys as OpenSSH public key lines; empty for clients. */
  readonly hostKeys: readonly string[];
}
