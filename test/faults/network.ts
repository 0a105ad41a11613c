import { setTimeout as delay } from "node:timers/promises";
import { CAN_MAKE_NAMESPACES, NetworkNamespace } from "../support/namespaces.ts";
import { SlowLink } from "../support/slow-link.ts";
import { SERVER_PORTS, Stack, type StackOptions } from "../support/stack.ts";

/** True where the tests of faults can run: they need root, namespaces and /dev/net/tun. */
export const CAN_FAKE_NETWORKS: boolean = CAN_MAKE_NAMESPACES;

/** Where the directory and the rendezvous are, and the near ends of the two links. */
const SERVER = "10.0.0.1";
const LINKS = {
  device: { name: "device0", near: "10.1.0.1/24", far: "10.1.0.2/24", gateway: "10.1.0.1" },
  client: { name: "client0", near: "10.2.0.1/24", far: "10.2.0.2/24", gateway: "10.2.0.1" },
} as const;

/** Interface of device and client. */
export const INTERFACE = "np0";
const ACKNOWLEDGED_MS = 30_000; // a kernel sends again what was lost within a few seconds
/** Of the device's link. */
export const SERVER_END: string = LINKS.device.gateway;

/**
 * A whole system, its three machines in namespaces of their own: the server in the middle, a link to the device and one to
 * the client, each of which can be slow, lossy or cut. Direction 0 is away from device or client.
 */
export class DistantSystem implements AsyncDisposable {
  readonly deviceLink: SlowLink;
  readonly clientLink: SlowLink;
  readonly stack: Stack;
  readonly #namespaces: { readonly server: NetworkNamespace; readonly device: NetworkNamespace };
  /** Newest first. */
  readonly #owned: readonly AsyncDisposable[];

  static async start(options: StackOptions = {}): Promise<DistantSystem> {
    const owned: AsyncDisposable[] = [];
    const own = <T extends AsyncDisposable>(one: T): T => {
      owned.unshift(one);
      return one;
    };
    const make = async (): Promise<NetworkNamespace> => own(await NetworkNamespace.make());
    try {
      const [server, device, client] = [await make(), await make(), await make()];
      await server.ip("address", "add", `${SERVER}/32`, "dev", "lo");
      const connect = async (far: NetworkNamespace, { name, near, far: address, gateway }: Line): Promise<SlowLink> => {
        const ends = [
          { namespace: far, name: INTERFACE, address },
          { namespace: server, name, address: near },
        ] as const;
        const link = own(await SlowLink.join(ends));
        await far.ip("route", "add", "default", "via", gateway);
        return link;
      };
      const links = [await connect(device, LINKS.device), await connect(client, LINKS.client)] as const;
      const network = { server, device, client, address: SERVER };
      const stack = own(await Stack.start({ ...options, network }));
      return new DistantSystem(links, stack, { server, device }, owned);
    } catch (error) {
      for (const one of owned) await one[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(
    links: readonly [SlowLink, SlowLink],
    stack: Stack,
    namespaces: { readonly server: NetworkNamespace; readonly device: NetworkNamespace },
    owned: readonly AsyncDisposable[],
  ) {
    [this.deviceLink, this.clientLink] = links;
    this.stack = stack;
    this.#namespaces = namespaces;
    this.#owned = owned;
  }

  get server(): NetworkNamespace {
    return this.#namespaces.server;
  }

  get device(): NetworkNamespace {
    return this.#namespaces.device;
  }

  /** The sockets that the directory holds open to the device, as `ADDRESS:PORT` of the device. */
  async linksAtDirectory(): Promise<string[]> {
    return (await this.#socketsAtDirectory()).flatMap((fields) => fields[3] ?? []);
  }

  /** Waits until the device's kernel has acknowledged all that the directory has sent it. Rejects when that takes too long. */
  async acknowledged(signal: AbortSignal = AbortSignal.timeout(ACKNOWLEDGED_MS)): Promise<void> {
    const unsent = async (): Promise<boolean> => (await this.#socketsAtDirectory()).some((fields) => fields[1] !== "0");
    while (await unsent()) await delay(20, undefined, { signal });
  }

  /** Of `ss`: bytes to be read, bytes not acknowledged, own end, the device's end. */
  async #socketsAtDirectory(): Promise<string[][]> {
    const filter = `sport = :${SERVER_PORTS.directory} and dst 10.1.0.0/24`;
    const lines = await this.#namespaces.server.must("ss", "-Htn", "state", "established", filter);
    return lines.split("\n").flatMap((line) => (line === "" ? [] : [line.trim().split(/\s+/)]));
  }

  /** Takes all connections of the device away from its kernel, as a power cut does. */
  async forgetConnections(): Promise<void> {
    await this.device.must("ss", "-K", "-tn", "dst", SERVER);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#owned) await one[Symbol.asyncDispose]();
  }
}

interface Line {
  readonly name: string;
  readonly near: string;
  readonly far: string;
  readonly gateway: string;
}
