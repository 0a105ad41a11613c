import type { CipherSuite } from "../keys/cipher-suite.ts";
import { SecurityError, SetupError } from "../keys/errors.ts";
import { type Name, parseName } from "../keys/names.ts";
import { type Fingerprint, fingerprint, parseFingerprint, parsePublicKeyLine } from "../keys/openssh.ts";
import type { OwnerPin, PeerPins, PinOrigin } from "../keys/peer.ts";
import { arePinned, lockPins, readPins, rememberRevocation, writePins } from "../keys/peer-files.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import type { SignedText } from "../keys/signed-text.ts";
import { LINK_NAMES } from "../protocol/limits.ts";
import {
  type JudgedOwner,
  type JudgedPeer,
  judgeOwner,
  judgePeer,
  type PeerClaim,
  seenRevocation,
} from "../protocol/peers.ts";
import { verifyOwnerChain } from "../protocol/owner-chain.ts";
import { clientNames } from "../protocol/policy/client-names.ts";
import type { Standing } from "./access.ts";
import type { StatedPolicy } from "./own-policy.ts";

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
 * Who may ask, and what this machine knows of their owner keys. Those of -m may; where no -m is given, those whom the owner's
 * policy grants something. Which owner key is whose, -m and the policy say; a name of which neither does is resolved once,
 * from a statement that came on the link because this daemon asked for it, never from one that came with a request. What is
 * known lies in the state files alone, because other programs of this user pin there too.
 */
export class Clients {
  readonly #suite: CipherSuite;
  readonly #keys: PrivateFolder;
  readonly #listed: ListedClients;
  readonly #tell: (text: string) => void;
  readonly #policy: () => Promise<StatedPolicy>;
  /** Every stream is judged by its session's claim, which is verified once. */
  readonly #owners = new WeakMap<PeerClaim, ReadonlySet<Fingerprint>>();

  /** `tell` gets a line for people whenever something is pinned; `policy` gives the owner's policy of now. */
  constructor(
    suite: CipherSuite,
    keys: PrivateFolder,
    listed: ListedClients,
    tell: (text: string) => void,
    policy: () => Promise<StatedPolicy>,
  ) {
    this.#suite = suite;
    this.#keys = keys;
    this.#listed = listed;
    this.#tell = tell;
    this.#policy = policy;
  }

  /** Whether -m lists anybody. */
  get hasList(): boolean {
    return this.#listed.size > 0;
  }

  /** @throws {SetupError} E_BAD_KEY_FILE when what is remembered of the name cannot be read. */
  async standingOf(name: Name): Promise<Standing> {
    const admitted = await this.#admitted();
    if (!admitted.names.has(name)) return "unlisted";
    if (admitted.owners.has(name)) return "known"; // whatever is pinned
    return standingIn(admitted, name, await this.#ownerOf(name));
  }

  /** The first of those names whose owner key is neither given nor pinned: what to ask the directory for, LINK_NAMES at most. */
  async unresolved(): Promise<Name[]> {
    const admitted = await this.#admitted();
    const names: Name[] = [];
    for (const name of admitted.names) {
      if (names.length === LINK_NAMES) break;
      if (standingIn(admitted, name, await this.#ownerOf(name)) === "unresolved") names.push(name);
    }
    return names;
  }

  /** One line for people about each name that may ask. */
  async describe(): Promise<string[]> {
    const lines: string[] = [];
    const { names, owners } = await this.#admitted();
    for (const name of names) {
      const known = await this.#ownerOf(name);
      const given = owners.get(name);
      if (given === "disputed") {
        lines.push(`${name} is refused: -m and the policy of the owner give two different owner keys.`);
        continue;
      }
      if (given !== undefined) lines.push(pinLine(name, given, "given"));
      else if (known !== undefined) lines.push(pinLine(name, this.#fingerprintOf(known), known.origin));
      else lines.push(`${name} is not pinned yet: asking the directory for its owner key. Until then it is refused.`);
    }
    return lines;
  }

  /**
   * Judges a claim against what is given and pinned, and says how the name stands by the same look at the pins. Of a name
   * that is not listed nothing is looked up. Unless it is known, the judgement serves to seal a refusal to it, and no more.
   * @throws {SecurityError} as judgePeer; E_OWNER_KEY when -m and policy give two owner keys.
   */
  async judge(claim: PeerClaim, now: number): Promise<JudgedPeer & { readonly standing: Standing }> {
    const admitted = await this.#admitted();
    const isAdmitted = admitted.names.has(claim.name);
    const given = isAdmitted ? givenIn(admitted, claim.name) : undefined;
    const known = isAdmitted ? await readPins(this.#keys, claim) : NOTHING;
    const standing = isAdmitted ? standingIn(admitted, claim.name, known.owner) : "unlisted";
    return { ...judgePeer(this.#suite, claim, { known, given }, now), standing };
  }

  /**
   * Remembers a client that has proved itself. Judged once more, since another session may have pinned meanwhile; a name
   * that somebody has forgotten meanwhile is not pinned again, for no request makes a first contact.
   * @throws {SecurityError} as judgePeer, E_OWNER_KEY also then; {SetupError} E_STORAGE.
   */
  async pin(claim: PeerClaim, now: number): Promise<void> {
    const given = givenIn(await this.#admitted(), claim.name);
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

  /** Remembers that a client, or the fleet token that made it, was revoked by its owner, as {@link judge} has found. @throws {SetupError} E_STORAGE. */
  async rememberRevocation({ name, member, statements }: PeerClaim): Promise<void> {
    if ((await this.standingOf(name)) !== "known") return;
    await rememberRevocation(this.#keys, { name, member }, seenRevocation(statements));
  }

  /**
   * Takes the statements on a name that the directory sent because this daemon asked for it, and pins its owner key if the name
   * may ask and is still unresolved. What it says of other names is ignored.
   * @throws {SecurityError} E_OWNER_KEY when the name is pinned to another key; E_STATEMENT.
   */
  async learn(chain: readonly SignedText[], now: number): Promise<void> {
    const { name } = verifyOwnerChain(this.#suite, chain);
    const { names, owners } = await this.#admitted();
    const given = owners.get(name);
    if (!names.has(name) || given !== undefined) return;
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

  /**
   * Whether the owner key that is given for a name now, if one is, is among those by which a claim of it was judged.
   * @throws {SecurityError} E_OWNER_KEY as {@link judge}.
   */
  async isStillOf(claim: PeerClaim): Promise<boolean> {
    const given = givenIn(await this.#admitted(), claim.name);
    return given === undefined || this.#ownersIn(claim).has(given);
  }

  #ownersIn(claim: PeerClaim): ReadonlySet<Fingerprint> {
    const known = this.#owners.get(claim);
    if (known !== undefined) return known;
    const { owner, former } = verifyOwnerChain(this.#suite, claim.statements.names);
    const owners = new Set([owner, ...former].map((line) => fingerprint(this.#suite, parsePublicKeyLine(line).blob)));
    this.#owners.set(claim, owners);
    return owners;
  }

  async #admitted(): Promise<Admitted> {
    const stated = await this.#policy();
    const policy = stated === "unreadable" ? undefined : stated;
    const owners = new Map<Name, Given>();
    for (const [name, given] of [...(policy?.owners ?? []), ...this.#listed]) {
      const before = owners.get(name);
      if (given !== undefined) owners.set(name, before === undefined || before === given ? given : "disputed");
    }
    return { names: new Set(this.hasList ? this.#listed.keys() : clientNames(policy ?? { grants: [] })), owners };
  }

  async #ownerOf(name: Name): Promise<OwnerPin | undefined> {
    return (await readPins(this.#keys, { name, member: undefined })).owner;
  }

  #fingerprintOf(pin: OwnerPin): Fingerprint {
    return fingerprint(this.#suite, parsePublicKeyLine(pin.owner).blob);
  }
}

/** Whom this device listens to. */
interface Admitted {
  readonly names: ReadonlySet<Name>;
  /** The owner keys that -m and the policy give, which may be of other names too. */
  readonly owners: ReadonlyMap<Name, Given>;
}

type Given = Fingerprint | "disputed";

function standingIn({ owners }: Admitted, name: Name, known: OwnerPin | undefined): Standing {
  return owners.get(name) === undefined && known === undefined ? "unresolved" : "known";
}

function givenIn({ owners }: Admitted, name: Name): Fingerprint | undefined {
  const given = owners.get(name);
  if (given !== "disputed") return given;
  throw new SecurityError("E_OWNER_KEY", `-m and the policy of the owner give two different owner keys for ${name}.`, {
    next: "Ask whoever gave them which one is right, and put that into both.",
  });
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
