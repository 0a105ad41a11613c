import { SshnpError } from "../keys/errors.ts";
import { type Finding, Readiness } from "../keys/metrics/readiness.ts";
import type { Audit } from "./audit.ts";
import type { BrokerLinks } from "./broker-links.ts";
import { DATABASE_CLOCK_MS } from "../protocol/limits.ts";
import type { Clock } from "./clock.ts";
import type { DatabaseClock } from "./database-clock.ts";
import type { Keyring } from "./keyring.ts";
import type { GuardedLog } from "./log/checkpoint-file.ts";
import type { RendezvousRegistry } from "./rendezvous-registry.ts";
import type { Store } from "./store.ts";

interface Parts {
  readonly store: Pick<Store, "database">;
  readonly guarded: Pick<GuardedLog, "isOlder"> & { readonly log: Pick<GuardedLog["log"], "refresh"> };
  readonly audit: Pick<Audit, "isFailing" | "isFull" | "tryAgain">;
  readonly keyring: Pick<Keyring, "keyListExpires">;
  readonly registry: Pick<RendezvousRegistry, "list">;
  readonly waking: Pick<BrokerLinks, "isConnected" | "meanwhile" | "refused"> | undefined;
  readonly clock: Pick<Clock, "now">;
  /** Where directories share a store. */
  readonly followed: Pick<DatabaseClock, "machineAheadMs"> | undefined;
}

/**
 * Whether a directory can do its work. What another directory on the same store could not do either, and what mends itself by
 * this one being asked, such as a rendezvous that has yet to report here, makes it no less ready: a balancer that took it away for
 * that would keep it from being mended.
 */
export function directoryReadiness({
  store,
  guarded,
  audit,
  keyring,
  registry,
  waking,
  clock,
  followed,
}: Parts): Readiness {
  const readiness = new Readiness();
  readiness.add(
    { name: "store", look: () => failing(() => store.database.write("kept", NOTHING), "it cannot be written") },
    {
      name: "log",
      look: async () => {
        if (guarded.isOlder) return { degraded: "it goes on from an older log than it has published" };
        return await failing(() => guarded.log.refresh(), "the store cannot be read");
      },
    },
    {
      name: "audit",
      look: async () => {
        // Nobody else may: a balancer sends no statement to where they are refused.
        await audit.tryAgain();
        if (audit.isFull) return { failed: "it takes no more lines, so statements are refused" };
        return audit.isFailing ? { degraded: "it cannot be written, and its lines wait" } : undefined;
      },
    },
    {
      name: "key list",
      look: () => (clock.now() < keyring.keyListExpires ? undefined : { failed: "the key list has expired" }),
    },
    {
      name: "rendezvous",
      look: () => {
        const isUp = registry.list(clock.now()).some((one) => one.isUp);
        return isUp ? undefined : { degraded: "none has reported" };
      },
    },
  );
  if (followed !== undefined) {
    readiness.add({
      name: "clock",
      look: () => {
        const seconds = followed.machineAheadMs / 1000;
        if (Math.abs(seconds) * 1000 <= DATABASE_CLOCK_MS) return undefined;
        const off = `${Math.abs(seconds).toFixed(0)} s ${seconds > 0 ? "ahead of" : "behind"}`;
        return { degraded: `this machine's clock is ${off} the database's, which counts` };
      },
    });
  }
  if (waking === undefined) return readiness;
  readiness.add({
    name: "broker",
    look: () => {
      if (waking.isConnected) return undefined;
      const why = waking.refused === undefined ? "is not connected" : `refuses ${waking.refused} of the directory`;
      return { degraded: `the MQTT broker ${why}; ${waking.meanwhile}` };
    },
  });
  return readiness;
}

/** A write that changes nothing: it takes the way of all others, to the disk of LevelDB or the primary of PostgreSQL. */
const NOTHING = [{ type: "del", key: "readiness" }] as const;

/** What a store or its driver says may name hosts, users and tables: `fact` stands for it, where it is the cause. */
async function failing(action: () => Promise<void>, fact: string): Promise<Finding> {
  try {
    await action();
    return undefined;
  } catch (error) {
    if (!(error instanceof SshnpError)) throw error;
    const isOurs = error.cause === undefined || error.cause instanceof SshnpError;
    return { failed: isOurs ? error.message.replace(/\.$/, "") : fact };
  }
}
