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
 * @throws {SetupError} E_USAGE when that is none that others could dial.
 */
export function publicAddresses(given: string | undefined, listening: HostPort): readonly string[] {
  if (given === undefined && (listening.host === "0.0.0.0" || listening.host === "::")) {
    throw new SetupError("E_USAGE", "Listening on all interfaces does not tell by which address the ends reach this.", {
      next: "Add --public HOST:PORT with a name or address that both ends can reach.",
    });
  }
  const { host, port } = parsePublic(given ?? formatHostPort(listening));
  return (["tcp", "ws"] as const).map((transport) => formatRendezvousAddress({ transport, host, port }));
}

function formatHostPort({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function parsePublic(text: string): RendezvousAddress {
  try {
    return parseRendezvousAddress(`tcp://${text}`);
  } catch (cause) {
    throw new SetupError("E_USAGE", `${quoted(text)} is not an address that the ends could dial.`, {
      next: "Give --public HOST:PORT: np.example.org:7801, 192.0.2.1:7801 or [2001:db8::1]:7801, in lower case.",
      cause,
    });
  }
}
