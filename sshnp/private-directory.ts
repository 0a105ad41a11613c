import { isPrivateAddress } from "../rendezvous/client.ts";
import type { DirectoryAccess } from "./directory-access.ts";

/**
 * Whether the directory answered at a private address, and so may name rendezvous at such addresses: they say where to dial, and
 * the directory signs it, so nobody must be led into a network that he has not chosen.
 */
export function isAtPrivateAddress({ client }: DirectoryAccess): boolean {
  return client.remoteAddress !== undefined && isPrivateAddress(client.remoteAddress);
}
