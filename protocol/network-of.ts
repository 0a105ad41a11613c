/** The network of this machine's own addresses. */
export const LOOPBACK = "loopback";

/**
 * What counts as one sender: an IPv4 address, this machine, or an IPv6 /56, which is what one customer has at least (RIPE-690,
 * section 4.2); who has a /48 is 256 of them.
 */
export function networkOf(address: string): string {
  const ipv4 = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1];
  if (ipv4 !== undefined) return ipv4.startsWith("127.") ? LOOPBACK : ipv4;
  if (address === "::1") return LOOPBACK;
  const [head = ""] = address.split("%", 1);
  const [left = "", right] = head.split("::");
  const groups = left === "" ? [] : left.split(":");
  const tail = right === undefined || right === "" ? [] : right.split(":");
  const zeros = right === undefined ? 0 : Math.max(0, 8 - groups.length - tail.length);
  const all = [...groups, ...Array.from({ length: zeros }, () => "0"), ...tail];
  return [...all.slice(0, 3), (Number.parseInt(all[3] ?? "0", 16) & 0xff00).toString(16)].join(":");
}

/** Whether an address is this machine's own. */
export function isLoopback(address: string): boolean {
  return networkOf(address) === LOOPBACK;
}
