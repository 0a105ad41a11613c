import type { CipherSuite } from "../keys/cipher-suite.ts";
import { SetupError } from "../keys/errors.ts";
import { type Name, parseName } from "../keys/names.ts";
import { type Fingerprint, fingerprint, parseFingerprint, parsePublicKeyLine } from "../keys/openssh.ts";
import type { PeerFile } from "../keys/peer.ts";
import { readPeer, writePeer } from "../keys/peer-files.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import type { SignedText } from "../keys/signed-text.ts";
import { LINK_NAMES } from "../protocol/limits.ts";
import { type JudgedPeer, judgeOwner, judgePeer, type PeerClaim } from "../protocol/peers.ts";
import { verifyNameStatement } from "../protocol/statements.ts";
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
  /** Writers of pins follow each other, so that none undoes what another has just written. */
  #writing: Promise<unknown> = Promise.resolve();

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
    if (!this.#listed.has(name)) return "unlisted";
    if (this.#listed.get(name) !== undefined) return "known";
    return (await readPeer(this.#keys, name)) === undefined ? "unresolved" : "known";
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
      const known = await readPeer(this.#keys, name);
      if (given !== undefined) lines.push(pinLine(name, given, "given"));
      else if (known !== undefined) lines.push(pinLine(name, this.#fingerprintOf(known), known.origin));
      else lines.push(`${name} is not pinned yet: asking the directory for its owner key. Until then it is refused.`);
    }
    return lines;
  }

  /**
   * Judges a claim against what is given and pinned. Of a name that is not listed nothing is looked up: the judgement
   * then serves to seal a refusal to it, and no more.
   * @throws {SecurityError} as judgePeer.
   */
  async judge(claim: PeerClaim, now: number): Promise<JudgedPeer> {
    const given = this.#listed.get(claim.name);
    const known = this.#listed.has(claim.name) ? await readPeer(this.#keys, claim.name) : undefined;
    return judgePeer(this.#suite, claim, { known, given }, now);
  }

  /**
   * Remembers a client that has proved itself. Judged once more, since another session may have pinned meanwhile.
   * @throws {SecurityError} as judgePeer; {SetupError} E_STORAGE.
   */
  async pin(claim: PeerClaim, now: number): Promise<void> {
    await this.#inTurn(async () => {
      const known = await readPeer(this.#keys, claim.name);
      const { peer, ownerFingerprint } = judgePeer(
        this.#suite,
        claim,
        { known, given: this.#listed.get(claim.name) },
        now,
      );
      if (JSON.stringify(peer) === JSON.stringify(known)) return;
      await writePeer(this.#keys, peer);
      if (peer.owner !== known?.owner) this.#tell(pinLine(claim.name, ownerFingerprint, peer.origin));
    });
  }

  /**
   * Takes a name statement that the directory sent because this daemon asked for it, and pins its owner key if the name
   * is listed and still unresolved. What it says of other names is ignored.
   * @throws {SecurityError} E_OWNER_KEY when the name is pinned to another key; E_STATEMENT.
   */
  async learn(statement: SignedText, now: number): Promise<void> {
    const { name } = verifyNameStatement(this.#suite, statement).statement;
    const given = this.#listed.get(name);
    if (!this.#listed.has(name) || given !== undefined) return;
    await this.#inTurn(async () => {
      const known = await readPeer(this.#keys, name);
      const { peer, ownerFingerprint, firstContact } = judgeOwner(this.#suite, name, statement, { known, given }, now);
      if (!firstContact) return;
      await writePeer(this.#keys, peer);
      this.#tell(pinLine(name, ownerFingerprint, peer.origin));
    });
  }

  #fingerprintOf(peer: PeerFile): Fingerprint {
    return fingerprint(this.#suite, parsePublicKeyLine(peer.owner).blob);
  }

  #inTurn<T>(write: () => Promise<T>): Promise<T> {
    const result = this.#writing.then(write);
    this.#writing = result.catch(() => undefined);
    return result;
  }
}

function pinLine(name: Name, owner: Fingerprint, origin: PeerFile["origin"]): string {
  const why = {
    given: "given",
    "first contact": `first contact: not compared with anybody; give -m ${name}=SHA256:... to compare`,
    accepted: "accepted",
  }[origin];
  return `${name} is pinned to ${owner} (${why})`;
}
