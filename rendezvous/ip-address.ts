import { isIP } from "node:net";

/**
 * The 4 or 16 bytes of an IP address as Node prints it, or undefined when it is none. IPv6 forms of IPv4 addresses
 * (mapped, compatible, NAT64) give the IPv4 address that they lead to.
 */
export function parseIpAddress(text: string): Uint8Array | undefined {
  const address = text.split("%", 1)[0] ?? ""; // without the zone
  if (isIP(address) === 4) return Uint8Array.from(address.split("."), Number);
  if (isIP(address) !== 6) return undefined;
  const bytes = ipv6Bytes(address);
  const holdsIpv4 = IPV4_IN_IPV6.some((prefix) => startsWith(bytes, prefix, 96));
  return holdsIpv4 && !isUnspecifiedOrLoopback(bytes) ? bytes.subarray(12) : bytes;
}

/**
 * Whether an address leads into one machine or one network instead of to a host that anybody can reach: loopback,
 * link-local, private, shared, multicast, reserved. What is no IP address counts as one.
 */
export function isPrivateAddress(text: string): boolean {
  const bytes = parseIpAddress(text);
  if (bytes === undefined) return true;
  return PRIVATE.some(({ prefix, bits }) => prefix.length === bytes.length && startsWith(bytes, prefix, bits));
}

/** Whether an address is of this machine alone. */
export function isLoopbackAddress(text: string): boolean {
  const bytes = parseIpAddress(text);
  return bytes?.length === 4 ? bytes[0] === 127 : bytes !== undefined && isUnspecifiedOrLoopback(bytes);
}

const IPV4_IN_IPV6 = ["::", "::ffff:0:0", "64:ff9b::"].map((prefix) => ipv6Bytes(prefix));

/** From the IANA special-purpose address registries (RFC 6890 and its successors). */
const PRIVATE = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "224.0.0.0/4",
  "240.0.0.0/4",
  "::/127",
  "64:ff9b:1::/48",
  "100::/64",
  "fc00::/7",
  "fe80::/10",
  "fec0::/10",
  "ff00::/8",
].map((range) => {
  const [address = "", bits] = range.split("/");
  // Not isIP: a start-up would wait 5 ms for Node's pattern of IPv6 to be compiled.
  const prefix = address.includes(":") ? ipv6Bytes(address) : Uint8Array.from(address.split("."), Number);
  return { prefix, bits: Number(bits) };
});

function isUnspecifiedOrLoopback(ipv6: Uint8Array): boolean {
  return ipv6.subarray(0, 15).every((byte) => byte === 0) && (ipv6[15] ?? 0) <= 1;
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array, bits: number): boolean {
  for (let bit = 0; bit < bits; bit++) {
    const mask = 0x80 >> (bit % 8);
    if (((bytes[bit >> 3] ?? 0) & mask) !== ((prefix[bit >> 3] ?? 0) & mask)) return false;
  }
  return true;
}

/** `text` must be an IPv6 address without zone. The URL parser brings it into one form, with at most one `::`. */
function ipv6Bytes(text: string): Uint8Array {
  const [head = "", tail = ""] = new URL(`http://[${text}]/`).hostname.slice(1, -1).split("::");
  const [left, right] = [groups(head), groups(tail)];
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function groups(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}
