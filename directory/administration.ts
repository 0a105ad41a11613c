import type { Ed25519PublicKey } from "../keys/ed25519.ts";
import type { Name } from "../keys/names.ts";
import { addName } from "./accounts/accounts.ts";
import type { Audit } from "./audit.ts";
import type { RendezvousRegistry, RendezvousSummary } from "./rendezvous-registry.ts";
import type { Store } from "./store.ts";

/** A name for people to read. */
export interface NameSummary {
  readonly name: Name;
  /** ms since 1970 UTC. */
  readonly added: number;
  readonly isActivated: boolean;
  /** `@acme/MEMBER` without the name, with its role. */
  readonly members: readonly { readonly member: string; readonly role: string }[];
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

/** Administration by the process that has the store. */
export function administer(store: Store, registry: RendezvousRegistry, audit: Audit): Administration {
  return {
    async addName(name, activationKey) {
      const result = await addName(store, name, activationKey, Date.now());
      audit.write({ event: "name added", name, again: result === "again" });
      return result;
    },
    async names() {
      const members = new Map<Name, { member: string; role: string }[]>();
      for (const { name, member, role } of await store.members()) {
        members.set(name, [...(members.get(name) ?? []), { member, role }]);
      }
      return (await store.names()).map(([name, { added, statement }]) => {
        return { name, added, isActivated: statement !== undefined, members: members.get(name) ?? [] };
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
