import { hex } from "../keys/bytes.ts";
import { isLoopbackAddress, parseIpAddress } from "./ip-address.ts";

/**
 * What legs of one peer have in common: their IPv4 address, or the /64 of their IPv6 address, since one customer has
 * that many. Undefined for loopback: behind a reverse proxy on this machine all legs come from there.
 */
export function originOf(remoteAddress: string | undefined): string | undefined {
  const bytes = remoteAddress === undefined ? undefined : parseIpAddress(remoteAddress);
  if (remoteAddress === undefined || bytes === undefined || isLoopbackAddress(remoteAddress)) return undefined;
  return hex(bytes.subarray(0, 8));
}
