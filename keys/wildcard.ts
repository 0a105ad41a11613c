/** Whether to listen at this host, which has no brackets, means all interfaces: the unspecified address, however it is written. */
export function isWildcard(host: string): boolean {
  if (host.includes(":")) return URL.canParse(`http://[${host}]`) && new URL(`http://[${host}]`).hostname === "[::]";
  return URL.canParse(`http://${host}`) && new URL(`http://${host}`).hostname === "0.0.0.0"; // the resolver takes 0 for it, too
}
