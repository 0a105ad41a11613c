/** A region of rendezvous: 1 to 32 of `a-z`, `0-9` and `-`, as whoever runs them names it; empty: not said. */
export function isRegion(text: string): boolean {
  return text === "" || /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/.test(text);
}
