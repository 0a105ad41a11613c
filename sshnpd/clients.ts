import type { CipherSuite } from "../keys/cipher-suite.ts";
import { SecurityError, SetupError } from "../keys/errors.ts";
import { type Name, parseName } from "../keys/names.ts";
import { type Fingerprint, fingerprint, parseFingerprint, parsePublicKeyLine } from "../keys/openssh.ts";
import type { OwnerPin, PeerPins, PinOrigin } from "../keys/peer.ts";
import { arePinned, lockPins, readPins, writePins } from "../keys/peer-files.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import type { SignedText } from "../keys/signed-text.ts";
import { LINK_NAMES } from "../protocol/limits.ts";
import { type JudgedOwner, type JudgedPeer, judgeOwner, judgePeer, type PeerClaim } from "../protocol/peers.ts";
import { verifyOwnerChain } from "../protocol/owner-chain.ts";
import type { Standing } from "./access.ts";

/** The names of -m, with the owner fingerprints that came with them. */
export type ListedClients = ReadonlyMap<Name, Fingerprint | undefined>;

/**
 * The values of -m: `@name` or `@name=SHA256:...`, several separated by commas.
 * @throws {SetupError} E_USAGE for anything else, for two fingerprints of one name, and for more names than
 * a link can ask the directory about.
 */
export function parseClients(values: readonly string[]): ListedClients {
  const listed = new Map<Name, Fingerprint | undefined>();
  for (const item of values.flatMap((value) => value.split(","))) {
    const equals = item.indexOf("=");
    const name = parseName(equals < 0 ? item : item.slice(0, equals));
    const given = equals < 0 ? undefined : parseFingerprint(item.slice(equals + 1));
    const before = listed.get(name);
    if (before !== undefined && given !== undefined && before !== given) {
      throw new SetupError("E_USAGE", `-m gives ${name} two different owner keys.`, { next: "Give one of them." });
    }
    listed.set(name, given ?? before);
  }
  if (listed.size > LINK_NAMES) {
    throw new SetupError("E_USAGE", `-m lists ${listed.size} names; ${LINK_NAMES} are possible.`, {
      next: "Give clients of one organisation members of one name.",
    });
  }
  return listed;
}

/**
 * Who may ask, and what this machine knows of their owner keys. A bare `-m @client` is resolved once, from a statement
 * that came on the link because this daemon asked for it, never from one that came with a request. What is known lies in
 * the state files alone, because other programs of this user pin there too.
 */
export class Clients {
  readonly #suite: CipherSuite;
  readonly #keys: PrivateFolder;
  readonly #listed: ListedClients;
  readonly #tell: (text: string) => void;

  /** `tell` gets a line for people whenever something is pinned. */
  constructor(suite: CipherSuite, keys: PrivateFolder, listed: ListedClients, tell: (text: string) => void) {
    this.#suite = suite;
    this.#keys = keys;
    this.#listed = listed;
    this.#tell = tell;
  }

  /** Whether -m was given at all. */
  get isEmpty(): boolean {
    return this.#listed.size === 0;
  }

  /** @throws {SetupError} E_BAD_KEY_FILE when what is remembered of the name cannot be read. */
  async standingOf(name: Name): Promise<Standing> {
    return this.#listed.has(name) ? this.#standingOf(name, await this.#ownerOf(name)) : "unlisted";
  }

  /** The listed names whose owner key is neither given nor pinned: what to ask the directory for. */
  async unresolved(): Promise<Name[]> {
    const names: Name[] = [];
    for (const name of this.#listed.keys()) if ((await this.standingOf(name)) === "unresolved") names.push(name);
    return names;
  }

  /** One line for people about each listed name. */
  async describe(): Promise<string[]> {
    const lines: string[] = [];
    for (const [name, given] of this.#listed) {
      const known = await this.#ownerOf(name);
      if (given !== undefined) lines.push(pinLine(name, given, "given"));
      else if (known !== undefined) lines.push(pinLine(name, this.#fingerprintOf(known), known.origin));
      else lines.push(`${name} is not pinned yet: asking the directory for its owner key. Until then it is refused.`);
    }
    return lines;
  }

  /**
   * Judges a claim against what is given and pinned, and says how the name stands by the same look at the pins. Of a name
   * that is not listed nothing is looked up. Unless it is known, the judgement serves to seal a refusal to it, and no more.
   * @throws {SecurityError} as judgePeer.
   */
  async judge(claim: PeerClaim, now: number): Promise<JudgedPeer & { readonly standing: Standing }> {
    const given = this.#listed.get(claim.name);
    const known = this.#listed.has(claim.name) ? await readPins(this.#keys, claim) : NOTHING;
    const standing = this.#standingOf(claim.name, known.owner);
    return { ...judgePeer(this.#suite, claim, { known, given }, now), standing };
  }

  /**
   * Remembers a client that has proved itself. Judged once more, since another session may have pinned meanwhile; a name
   * that somebody has forgotten meanwhile is not pinned again, for no request makes a first contact.
   * @throws {SecurityError} as judgePeer, E_OWNER_KEY also then; {SetupError} E_STORAGE.
   */
  async pin(claim: PeerClaim, now: number): Promise<void> {
    const given = this.#listed.get(claim.name);
    const judge = (known: PeerPins): JudgedPeer => {
      const judged = judgePeer(this.#suite, claim, { known, given }, now);
      if (!judged.firstContact) return judged;
      throw new SecurityError("E_OWNER_KEY", `The pin of ${claim.name} was taken away while it asked.`);
    };
    const known = await readPins(this.#keys, claim);
    if (arePinned(known, judge(known).pins)) return;
    await lockPins(this.#keys, async () => {
      const before = await readPins(this.#keys, claim);
      const { pins, ownerFingerprint } = judge(before);
      await writePins(this.#keys, before, pins);
      if (pins.owner.owner !== before.owner?.owner) {
        this.#tell(pinLine(claim.name, ownerFingerprint, pins.owner.origin));
      }
    });
  }

  /**
   * Takes the statements on a name that the directory sent because this daemon asked for it, and pins its owner key if the name
   * is listed and still unresolved. What it says of other names is ignored.
   * @throws {SecurityError} E_OWNER_KEY when the name is pinned to another key; E_STATEMENT.
   */
  async learn(chain: readonly SignedText[], now: number): Promise<void> {
    const { name } = verifyOwnerChain(this.#suite, chain);
    const given = this.#listed.get(name);
    if (!this.#listed.has(name) || given !== undefined) return;
    const judge = (known: OwnerPin | undefined): JudgedOwner =>
      judgeOwner(this.#suite, name, chain, { known, given }, now);
    if (!judge(await this.#ownerOf(name)).firstContact) return;
    await lockPins(this.#keys, async () => {
      const { owner, ownerFingerprint, firstContact } = judge(await this.#ownerOf(name));
      if (!firstContact) return;
      await writePins(this.#keys, NOTHING, { ...NOTHING, owner });
      this.#tell(pinLine(name, ownerFingerprint, owner.origin));
    });
  }

  /** What the log must say of the names that these chains are of. @throws {SecurityError} E_STATEMENT; {PeerError}. */
  newestOf(chains: readonly (readonly SignedText[])[]): { readonly subject: string; readonly newest: Uint8Array }[] {
    return chains.map((chain) => {
      const { name, newest } = verifyOwnerChain(this.#suite, chain);
      return { subject: name, newest: newest.hash };
    });
  }

  #standingOf(name: Name, known: OwnerPin | undefined): Standing {
    if (!this.#listed.has(name)) return "unlisted";
    return this.#listed.get(name) === undefined && known === undefined ? "unresolved" : "known";
  }

  async #ownerOf(name: Name): Promise<OwnerPin | undefined> {
    return (await readPins(this.#keys, { name, member: undefined })).owner;
  }

  #fingerprintOf(pin: OwnerPin): Fingerprint {
    return fingerprint(this.#suite, parsePublicKeyLine(pin.owner).blob);
  }
}

const NOTHING: PeerPins = { owner: undefined, member: undefined };

function pinLine(name: Name, owner: Fingerprint, origin: PinOrigin): string {
  const why = {
    given: "given",
    "first contact": `first contact: not compared with anybody; give -m ${name}=SHA256:... to compare`,
    accepted: "accepted",
    rotation: "the owner key before handed the name on to it",
  }[origin];
  return `${name} is pinned to ${owner} (${why})`;
}
