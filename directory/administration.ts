import type { Ed25519PublicKey } from "../keys/ed25519.ts";
import type { MemberName, Name, Role } from "../keys/names.ts";
import { addName } from "./accounts/accounts.ts";
import type { Audit } from "./audit.ts";
import type { Presence } from "./presence.ts";
import type { RendezvousRegistry, RendezvousSummary } from "./rendezvous-registry.ts";
import type { Store } from "./store.ts";

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

/** What whoever runs a directory may do to it. */
export interface Administration {
  /** @throws {SetupError} E_NAME_TAKEN; {UnavailableError} E_STORAGE. */
  addName(name: Name, activationKey: Ed25519PublicKey): Promise<"new" | "again">;
  names(): Promise<NameSummary[]>;
  /** @throws {SetupError} E_NAME_TAKEN; {UnavailableError} E_STORAGE. */
  addRendezvous(name: string, activationKey: Ed25519PublicKey): Promise<"new" | "again">;
  rendezvous(): Promise<RendezvousSummary[]>;
}

/** Administration by the process that has the store; `presence` when it serves, too. */
export function administer(
  { store, registry, audit }: { readonly store: Store; readonly registry: RendezvousRegistry; readonly audit: Audit },
  presence?: Presence,
): Administration {
  return {
    async addName(name, activationKey) {
      const result = await addName(store, name, activationKey, Date.now());
      audit.write({ event: "name added", name, again: result === "again" });
      return result;
    },
    async names() {
      const members = new Map<Name, MemberSummary[]>();
      for (const { name, member, role } of await store.members()) {
        const isOnline = presence?.get({ name, member }) !== undefined;
        members.set(name, [...(members.get(name) ?? []), { member, role, isOnline }]);
      }
      return (await store.names()).map(([name, { added, statements }]) => {
        return { name, added, isActivated: statements.length > 0, members: members.get(name) ?? [] };
      });
    },
    async addRendezvous(name, activationKey) {
      const result = await registry.add(name, activationKey, Date.now());
      audit.write({ event: "rendezvous added", rendezvous: name, again: result === "again" });
      return result;
    },
    async rendezvous() {
      return registry.list(Date.now());
    },
  };
}
