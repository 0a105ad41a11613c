import {
  type BrokerFlags,
  type Link,
  type LinkOptions,
  openBrokerLink,
  openLink,
  readBrokerPlace,
} from "../directory/client.ts";
import { SetupError, SshnpError } from "../keys/errors.ts";
import { type Log, logError } from "./log.ts";
import { openTwoWayLink, type Way } from "./two-way-link.ts";

/** Says what is wrong with the broker's files, if anything. It keeps nobody from this device, which waits at the directory then. */
export async function tellAboutBrokerFiles(
  { url, ...flags }: BrokerFlags & { readonly url: string },
  tell: (text: string) => void,
): Promise<void> {
  try {
    await readBrokerPlace(url, flags);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    tell(`${error.message} ${error.next ?? ""}`);
    tell("Until that is right, this device waits at the directory itself.");
  }
}

/**
 * The daemon's link where it is told of a broker. The broker's files are read for each connection, as certificates are
 * replaced from time to time; one that cannot be read is a broker that does not serve. @throws as openLink.
 */
export async function openWakeableLink(
  { url, ...flags }: BrokerFlags & { readonly url: string },
  options: LinkOptions,
  {
    log,
    policyHash,
    goes,
  }: {
    readonly log: Log;
    readonly policyHash: () => Uint8Array;
    /** Told of each change of the way. */
    readonly goes: ((way: Way) => void) | undefined;
  },
): Promise<Link> {
  const optionsOfNow = (signal: AbortSignal): LinkOptions => ({
    ...options,
    hello: { ...options.hello, policyHash: policyHash() },
    signal,
  });
  return await openTwoWayLink(
    {
      byBroker: async (signal, limitMs) => {
        const broker = await readBrokerPlace(url, flags);
        const onOdd = (text: string): void => log.debug(text);
        return await openBrokerLink({ ...optionsOfNow(signal), broker, limitMs, onOdd });
      },
      byWebSocket: (signal) => openLink(optionsOfNow(signal)),
      onWay: (way, why) => {
        goes?.(way);
        const next = why instanceof SshnpError ? why.next : undefined;
        if (why !== undefined) logError(log, why, AT_DIRECTORY, { next });
        else log.info({ way }, "waiting at the MQTT broker");
      },
      random: Math.random,
    },
    options.signal,
  );
}

const AT_DIRECTORY = "the MQTT broker does not serve; waiting at the directory itself";
