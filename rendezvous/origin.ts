import { networkOf } from "../protocol/network-of.ts";
import { isLoopbackAddress, parseIpAddress } from "./ip-address.ts";

/**
 * What legs of one peer have in common: their network, as networkOf tells it, of an IPv6 form of an IPv4 address that of the
 * latter. Undefined for loopback: behind a reverse proxy on this machine all legs come from there.
 */
export function originOf(remoteAddress: string | undefined): string | undefined {
  const bytes = remoteAddress === undefined ? undefined : parseIpAddress(remoteAddress);
  if (remoteAddress === undefined || bytes === undefined || isLoopbackAddress(remoteAddress)) return undefined;
  return networkOf(bytes.length === 4 ? bytes.join(".") : remoteAddress);
}
