import type { ProvedHeads } from "../directory/client.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { DeniedError, SecurityError } from "../keys/errors.ts";
import type { Fingerprint } from "../keys/openssh.ts";
import { writeOwnStatements } from "../keys/own-statement-files.ts";
import type { PeerPins } from "../keys/peer.ts";
import { rememberRevocation } from "../keys/peer-files.ts";
import type { MemberStatements } from "../protocol/member-statements.ts";
import type { Party } from "../protocol/messages/prologue.ts";
import { judgeOwn, type OwnStanding } from "../protocol/own-standing.ts";
import { type JudgedPeer, judgePeer, type PeerClaim, seenRevocation } from "../protocol/peers.ts";
import { type Client, ownKeys } from "./client-keys.ts";

/** What is known of the device before this connect. */
export interface KnownDevice {
  readonly pins: PeerPins;
  /** The owner's fingerprint that a person gave. */
  readonly given: Fingerprint | undefined;
}

/**
 * The two members of a session as the newest statements on them say, of which the directory may have newer ones than this
 * machine. Each is taken once, with proof that there is none newer: a directory that does not take its own is none.
 */
export class Parties {
  readonly #suite: CipherSuite;
  readonly #client: Client;
  readonly #device: KnownDevice;
  #own: OwnStanding;
  #hasNewOwn = false;
  #claim: PeerClaim | undefined;
  #hasNewClaim = false;

  constructor(suite: CipherSuite, client: Client, device: KnownDevice, remembered: PeerClaim | undefined) {
    this.#suite = suite;
    this.#client = client;
    this.#device = device;
    this.#own = client.standing;
    this.#claim = remembered;
  }

  /** The client itself, for a prologue. */
  get self(): Party {
    const { name, member } = this.#client.keys;
    return { name, member, bindingHash: this.#own.binding.hash };
  }

  /** What the log must say of the client's binding. */
  get ownBinding(): { readonly subject: string; readonly newest: Uint8Array } {
    const { name, member } = this.#client.keys;
    return { subject: `${name}/${member}`, newest: this.#own.binding.hash };
  }

  /** When the client's binding ends, ms since 1970 UTC; null: never. */
  get ownEnd(): number | null {
    return this.#own.binding.statement.expires;
  }

  /** What is said of the device; undefined while it has to be looked up. */
  get claim(): PeerClaim | undefined {
    return this.#claim;
  }

  /** @throws as judgePeer. */
  judge(claim: PeerClaim, now: number): JudgedPeer {
    const { pins: known, given } = this.#device;
    return judgePeer(this.#suite, claim, { known, given }, now);
  }

  /** Takes newer statements on the device. @throws as judgePeer; {SecurityError} E_LOG when they are not the newest. */
  async takeDevice(
    device: Pick<PeerClaim, "name" | "member">,
    statements: MemberStatements,
    proved: ProvedHeads,
    now: number,
  ): Promise<void> {
    if (this.#hasNewClaim) throw new SecurityError("E_STATEMENT", "The directory does not take its own statements.");
    this.#hasNewClaim = true;
    const claim: PeerClaim = { name: device.name, member: device.member, role: "device", statements };
    try {
      proved.demand(this.judge(claim, now).newest);
    } catch (error) {
      const isRevoked = error instanceof DeniedError && error.code === "E_REVOKED";
      const isKnown = this.#device.pins.owner !== undefined;
      if (isRevoked && isKnown) await rememberRevocation(this.#client.folder, device, seenRevocation(statements));
      throw error;
    }
    this.#claim = claim;
  }

  /** Takes newer statements on the client itself, and remembers them. @throws as {@link judgeOwn}; {SecurityError} E_LOG. */
  async takeOwn(statements: MemberStatements, proved: ProvedHeads): Promise<void> {
    if (this.#hasNewOwn) throw new SecurityError("E_STATEMENT", "The directory does not take its own statements.");
    this.#hasNewOwn = true;
    const { folder, keys } = this.#client;
    const own = judgeOwn(this.#suite, ownKeys(keys), statements, this.#own);
    proved.demand(own.newest);
    const { owner } = this.#own.chain;
    await writeOwnStatements(folder, keys, { ...statements, policy: undefined, owner });
    this.#own = own;
  }
}
