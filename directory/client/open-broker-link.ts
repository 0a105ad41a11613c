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
