import { SetupError } from "../keys/errors.ts";
import { quoted } from "../keys/names.ts";
import { isWildcard } from "../keys/wildcard.ts";
import { MAX_RENDEZVOUS_ADDRESSES, TICKET_ENTRY_BYTES } from "../protocol/limits.ts";
import {
  formatRendezvousAddress,
  parseRendezvousAddress,
  type RendezvousAddress,
} from "../protocol/rendezvous-address.ts";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** HOST:PORT to listen on; IPv6 in brackets, port 0 for a free one. @throws {SetupError} E_USAGE. */
export function parseListen(text: string): HostPort {
  const [, ipv6, host, port] = /^(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:[\]\s]+)):([0-9]{1,5})$/.exec(text) ?? [];
  const name = ipv6 ?? host;
  if (name === undefined || Number(port) > 65_535) {
    throw new SetupError("E_USAGE", `--listen ${quoted(text)} is not HOST:PORT.`, {
      next: "It reads 127.0.0.1:7801, 0.0.0.0:7801 or [::]:7801.",
    });
  }
  return { host: name, port: Number(port) };
}

/**
 * The addresses that the ends dial, in their order: of each HOST:PORT in `given` the TCP one first, and those that are
 * given with their transport as they are; else where this listens.
 * @throws {SetupError} E_USAGE when one of them is none that others could dial.
 */
export function publicAddresses(given: string | undefined, listening: HostPort): readonly string[] {
  if (given === undefined && isWildcard(listening.host)) {
    throw new SetupError("E_USAGE", "Listening on all interfaces does not tell by which address the ends reach this.", {
      next: "Add --public HOST:PORT with a name or address that both ends can reach.",
    });
  }
  const addresses = (given ?? formatHostPort(listening)).split(",").flatMap((text) => parsePublic(text));
  if (addresses.length <= MAX_RENDEZVOUS_ADDRESSES) return demandRoom(addresses.map(formatRendezvousAddress));
  throw new SetupError("E_USAGE", `--public makes ${addresses.length} addresses; a ticket has room for fewer.`, {
    next: `Give at most ${MAX_RENDEZVOUS_ADDRESSES}; HOST:PORT without a transport makes two.`,
  });
}

/** So that a ticket which names this rendezvous has room for another one. */
function demandRoom(addresses: readonly string[]): readonly string[] {
  const bytes = addresses.reduce((sum, address) => sum + 1 + address.length, RENDEZVOUS_BYTES);
  if (bytes <= TICKET_ENTRY_BYTES) return addresses;
  throw new SetupError("E_USAGE", "--public is too long for a ticket, which has to name other rendezvous as well.", {
    next: `Give fewer addresses or shorter names: ${TICKET_ENTRY_BYTES - RENDEZVOUS_BYTES} bytes in all, one more for each.`,
  });
}

/** Key, boot and the count of addresses, as ticket.ts has them. */
const RENDEZVOUS_BYTES = 32 + 16 + 1;

/** HOST:PORT, IPv6 in brackets. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function parsePublic(text: string): RendezvousAddress[] {
  try {
    if (text.includes("://")) return [parseRendezvousAddress(text)];
    const address = parseRendezvousAddress(`tcp://${text}`);
    return [address, { ...address, transport: "ws" }];
  } catch (cause) {
    throw new SetupError("E_USAGE", `${quoted(text)} is not an address that the ends could dial.`, {
      next: "Give --public HOST:PORT, in lower case: np.example.org:7801, 192.0.2.1:7801 or [2001:db8::1]:7801. Behind a reverse proxy that ends TLS: wss://np.example.org:443",
      cause,
    });
  }
}
