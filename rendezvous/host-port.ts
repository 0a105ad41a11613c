import { SetupError } from "../keys/errors.ts";
import { quoted } from "../keys/names.ts";
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
 * The addresses that the ends dial, TCP first: `given` (HOST:PORT), else where this listens.
 * @throws {SetupError} E_USAGE when `given` is malformed, or missing while it listens on all interfaces.
 */
export function publicAddresses(given: string | undefined, listening: HostPort): readonly string[] {
  if (given === undefined && (listening.host === "0.0.0.0" || listening.host === "::")) {
    throw new SetupError("E_USAGE", "Listening on all interfaces does not tell by which address the ends reach this.", {
      next: "Add --public HOST:PORT with a name or address that both ends can reach.",
    });
  }
  const { host, port } = given === undefined ? listening : parsePublic(given);
  return (["tcp", "ws"] as const).map((transport) => formatRendezvousAddress({ transport, host, port }));
}

function parsePublic(text: string): RendezvousAddress {
  try {
    return parseRendezvousAddress(`tcp://${text}`);
  } catch (cause) {
    throw new SetupError("E_USAGE", `--public ${quoted(text)} is not HOST:PORT.`, {
      next: "It reads np.example.org:7801, 192.0.2.1:7801 or [2001:db8::1]:7801, in lower case.",
      cause,
    });
  }
}
