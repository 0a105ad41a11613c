import { lookup } from "node:dns";
import type { LookupFunction } from "node:net";
import { type ConnectProgress, PrivateAddressError } from "./connect-progress.ts";
import { isPrivateAddress } from "./ip-address.ts";

/** The addresses that were checked are the ones connected to, so that no second look-up can say otherwise. */
export function resolver(allowPrivate: boolean, progress: ConnectProgress): LookupFunction {
  return (host, options, callback) => {
    lookup(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, "");
      progress.resolved();
      const allowed = allowPrivate ? addresses : addresses.filter(({ address }) => !isPrivateAddress(address));
      const [first] = allowed;
      if (first === undefined) return callback(new PrivateAddressError(), "");
      if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}

/** Whether a name can only lead into a private network (RFC 6761, 6762, 8375; .internal by ICANN): what is looked up elsewhere is not seen here. */
export function isPrivateName(host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, "");
  return !name.includes(".") || /\.(?:localhost|local|internal|home\.arpa)$/.test(name);
}
