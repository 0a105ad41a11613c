import { base64 } from "../keys/bytes.ts";
import type { Ed25519PublicKey } from "../keys/ed25519.ts";
import { SetupError } from "../keys/errors.ts";
import type { MemberName, Name, Role } from "../keys/names.ts";
import { WITNESSES } from "../protocol/limits.ts";
import { addName } from "./accounts/accounts.ts";
import type { Audit } from "./audit.ts";
import type { Clock } from "./clock.ts";
import type { Anchor } from "./audit/anchors.ts";
import type { Log } from "./log/log.ts";
import { LOG_PREFIX, logFile } from "./log/routes.ts";
import type { Presence } from "./presence.ts";
import type { RendezvousRegistry } from "./rendezvous-registry.ts";
import type { RendezvousSummary } from "./rendezvous-standing.ts";
import type { WitnessRecord } from "./records.ts";
import type { Store } from "./store.ts";
import type { Cosigner, WitnessStanding } from "./witnesses/cosigner.ts";

export interface MemberSummary {
  readonly member: MemberName;
  readonly role: Role;
  /** Whether it has a link to this directory now. */
  readonly isOnline: boolean;
}

/** A name for people to read. */
export interface NameSummary {
  readonly name: Name;
  /** ms since 1970 UTC. */
  readonly added: number;
  readonly isActivated: boolean;
  readonly members: readonly MemberSummary[];
}

/** A witness for people to read. */
export interface WitnessSummary extends WitnessRecord, Partial<WitnessStanding> {
  readonly name: string;
}

/** What whoever runs a directory may do to it. */
export interface Administration {
  /** @throws {SetupError} E_NAME_TAKEN; {UnavailableError} E_STORAGE. */
  addName(name: Name, activationKey: Ed25519PublicKey): Promise<"new" | "again">;
  names(): Promise<NameSummary[]>;
  /** @throws {SetupError} E_NAME_TAKEN; {UnavailableError} E_STORAGE. */
  addRendezvous(name: string, activationKey: Ed25519PublicKey): Promise<"new" | "again">;
  /** Whether there was one. @throws {UnavailableError} E_STORAGE. */
  removeRendezvous(name: string): Promise<boolean>;
  rendezvous(): Promise<RendezvousSummary[]>;
  /** @throws {SetupError} E_NAME_TAKEN when the name or the key is another witness's, E_USAGE for one too many; {UnavailableError} E_STORAGE. */
  addWitness(name: string, witness: { readonly url: string; readonly verifierKey: string }): Promise<void>;
  /** Whether there was one. @throws {UnavailableError} E_STORAGE. */
  removeWitness(name: string): Promise<boolean>;
  witnesses(): Promise<WitnessSummary[]>;
  /** Puts the newest line of the audit into the log. @throws {UnavailableError} E_STORAGE. */
  anchorAudit(): Promise<Anchor>;
  /** What GET of a path below /v1/log/ gives, in base64; undefined: nothing. @throws {UnavailableError} E_STORAGE. */
  logFile(path: string): Promise<string | undefined>;
}

/** Administration by the process that has the store; `presence` when it serves, too. */
export function administer(
  {
    store,
    registry,
    audit,
    statementLog,
    anchorAudit,
    cosigner,
    clock,
  }: {
    readonly store: Store;
    readonly registry: RendezvousRegistry;
    readonly audit: Audit;
    readonly statementLog: Log;
    readonly anchorAudit: () => Promise<Anchor>;
    readonly cosigner?: Cosigner;
    readonly clock: Pick<Clock, "now">;
  },
  presence?: Presence,
): Administration {
  return {
    async addName(name, activationKey) {
      const result = await addName(store, name, activationKey, clock.now());
      audit.write({ event: "name added", name, again: result === "again" });
      return result;
    },
    async names() {
      const members = new Map<Name, MemberSummary[]>();
      for (const { name, member, role } of await store.members()) {
        const isOnline = (await presence?.find({ name, member })) !== undefined;
        const ofName = members.get(name) ?? [];
        if (ofName.length === 0) members.set(name, ofName);
        ofName.push({ member, role, isOnline });
      }
      return (await store.names()).map(([name, { added, statements }]) => {
        return { name, added, isActivated: statements.length > 0, members: members.get(name) ?? [] };
      });
    },
    async addRendezvous(name, activationKey) {
      const result = await registry.add(name, activationKey, clock.now());
      audit.write({ event: "rendezvous added", rendezvous: name, again: result === "again" });
      return result;
    },
    async removeRendezvous(name) {
      const wasThere = await registry.remove(name, clock.now());
      if (wasThere) audit.write({ event: "rendezvous removed", rendezvous: name });
      return wasThere;
    },
    async rendezvous() {
      return registry.list(clock.now());
    },
    async addWitness(name, { url, verifierKey }) {
      await store.exclusively(async () => {
        const all = await store.witnesses();
        refuseWitness(all, name, verifierKey);
        await store.putWitness(name, { added: clock.now(), url, verifierKey });
        cosigner?.use(await store.witnesses());
      });
      audit.write({ event: "witness added", witness: name, url, verifierKey });
    },
    async removeWitness(name) {
      const wasThere = await store.exclusively(async () => {
        const all = await store.witnesses();
        await store.putWitness(name, undefined);
        cosigner?.use(all.filter(([other]) => other !== name));
        return all.some(([other]) => other === name);
      });
      if (wasThere) audit.write({ event: "witness removed", witness: name });
      return wasThere;
    },
    async witnesses() {
      const all = await store.witnesses();
      return all.map(([name, record]) => ({ name, ...record, ...cosigner?.standing(name) }));
    },
    anchorAudit,
    async logFile(path) {
      await statementLog.refresh();
      const file = await logFile(statementLog, LOG_PREFIX + path);
      return file?.status === 200 ? base64(file.body) : undefined;
    },
  };
}

function refuseWitness(all: readonly (readonly [string, WitnessRecord])[], name: string, verifierKey: string): void {
  // Its name is not signed by a witness, so one key under two names is one witness.
  const keyOf = (text: string): string => text.split("+").slice(2).join("+");
  const same = all.find(([other, record]) => other === name || keyOf(record.verifierKey) === keyOf(verifierKey));
  if (same !== undefined) {
    const what =
      same[0] === name ? `There is a witness ${name} already` : `The witness ${same[0]} has that key already`;
    throw new SetupError("E_NAME_TAKEN", `${what}.`, {
      next: `To put another in its place: sshnp-directory witness remove ${same[0]} --data DIR`,
    });
  }
  if (all.length < WITNESSES) return;
  throw new SetupError("E_USAGE", `A directory asks ${WITNESSES} witnesses at most.`, { next: "Remove one first." });
}
