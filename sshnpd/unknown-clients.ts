import { setTimeout as delay } from "node:timers/promises";
import type { Name } from "../keys/names.ts";
import { UNKNOWN_CLIENT_MS } from "../protocol/limits.ts";
import type { Clients } from "./clients.ts";

/** Says, once for each name and a moment after it was asked for, that the directory has not said whose it is: it may be a typing error. */
export function unknownClientsTeller(
  clients: Pick<Clients, "unresolved">,
  tell: (text: string) => void,
  signal: AbortSignal,
): () => void {
  const told = new Set<Name>();
  const look = async (): Promise<void> => {
    await delay(UNKNOWN_CLIENT_MS, undefined, { signal, ref: false });
    for (const name of await clients.unresolved()) {
      if (told.has(name)) continue;
      told.add(name);
      tell(
        `The directory knows no ${name}. Is it spelt as its owner says? Once it is activated it is let in by itself.`,
      );
    }
  };
  return () => void look().catch(() => {}); // the daemon ends, or the pins cannot be read, which requests say
}
