import { BROKER_TRY_MS } from "../../protocol/limits.ts";
import type { BrokerLinkOptions } from "./broker-end.ts";
import type { Link } from "./link.ts";

/**
 * Opens a device's link by an MQTT broker, as openLink of client.ts does by WebSocket. That a sealing key is gone is not told
 * there: the link does not come up then.
 * @throws {UnavailableError} E_DIRECTORY when the broker does not serve, or nothing of the directory's comes by it; what the
 * directory refused with; {SecurityError} E_DIRECTORY_KEY, E_DIRECTORY_LIST; the signal's reason.
 */
export async function openBrokerLink(options: BrokerLinkOptions): Promise<Link> {
  const link = await import("./broker-link.ts");
  return await link.openLinkByBroker(options);
}

/**
 * Connects to a broker as a device does, subscribes, and goes; the directory hears nothing of it. Another connection of that
 * device would be ended by the broker: while there is one, `isElsewhere`, this ends where the broker would be told the name.
 * @throws {UnavailableError} E_DIRECTORY, as connectBroker, and when there is no key list; the signal's reason.
 */
export async function tryBroker(
  options: BrokerLinkOptions,
  { isElsewhere }: { readonly isElsewhere: boolean },
): Promise<void> {
  const [{ BrokerEnd }, { keyListWithin, leftUntil }, { reachBroker }] = await Promise.all([
    import("./broker-end.ts"),
    import("./broker-limit.ts"),
    import("./broker.ts"),
  ]);
  const until = performance.now() + (options.limitMs ?? BROKER_TRY_MS);
  const { broker: place, signal } = options;
  if (isElsewhere) return await reachBroker({ place, signal, limitMs: leftUntil(until) });
  const end = new BrokerEnd(options, await keyListWithin(options, until));
  const connection = await end.connect(leftUntil(until), () => {});
  connection.close();
  await connection.ended;
}
