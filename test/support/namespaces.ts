import { accessSync, constants } from "node:fs";
import {
  type Exit,
  type ProcessOptions,
  type RunInside,
  type RunningProcess,
  runProcess,
  startProcess,
} from "./processes.ts";

const NOWHERE = { env: { HOME: "/nonexistent" }, cwd: "/" };

/** True where tests can make network namespaces and links between them; a container's root may not. */
export const CAN_MAKE_NAMESPACES: boolean = await canMakeNamespaces();

/**
 * A network namespace of the test's own, with nothing in it but its loopback, for IPv4. It has no name: it lasts as long as a process
 * is in it, and the first is ended with the test, however that ends; its interfaces go with it. Programs run in it by the
 * option `namespace` of processes.ts.
 */
export class NetworkNamespace implements RunInside, AsyncDisposable {
  readonly #holder: RunningProcess;

  static async make(): Promise<NetworkNamespace> {
    // Without IPv6 nothing is sent but what tests send: an interface that comes up asks for routers.
    const withoutV6 = "for name in all default; do echo 1 > /proc/sys/net/ipv6/conf/$name/disable_ipv6; done";
    const script = `${withoutV6}; ip link set lo up && echo made && exec sleep infinity`;
    const holder = startProcess("unshare", ["--net", "sh", "-c", script], NOWHERE);
    await holder.line(/^made$/);
    return new NetworkNamespace(holder);
  }

  private constructor(holder: RunningProcess) {
    this.#holder = holder;
  }

  /** For `ip link ... netns PID`. */
  get pid(): number {
    return this.#holder.pid;
  }

  get nsenterArguments(): readonly string[] {
    return [`--net=/proc/${this.pid}/ns/net`];
  }

  /** Runs a program in it that must succeed, and returns what it prints. */
  async must(file: string, ...words: string[]): Promise<string> {
    return succeeded(`${file} ${words.join(" ")}`, await runProcess(file, words, this.#options));
  }

  /** Runs `ip WORDS`. */
  ip(...words: string[]): Promise<string> {
    return this.must("ip", ...words);
  }

  /** Gives an interface its address, as ADDRESS/BITS, and brings it up. */
  async bringUp(name: string, address: string): Promise<void> {
    await this.ip("address", "add", address, "dev", name);
    await this.ip("link", "set", name, "up");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder.stop();
  }

  get #options(): ProcessOptions {
    return { ...NOWHERE, namespace: this };
  }
}

export interface VethEnd {
  readonly namespace: NetworkNamespace;
  /** Name of the interface. */
  readonly name: string;
  /** ADDRESS/BITS. */
  readonly address: string;
}

/** Joins two namespaces by a cable (a pair of veth), both ends up. Taking one end down or deleting it takes the carrier from the other. */
export async function joinByVeth(one: VethEnd, other: VethEnd): Promise<void> {
  const peer = ["peer", "name", other.name, "netns", String(other.namespace.pid)];
  await one.namespace.ip("link", "add", one.name, "type", "veth", ...peer);
  await one.namespace.bringUp(one.name, one.address);
  await other.namespace.bringUp(other.name, other.address);
}

function succeeded(what: string, { code, signal, stdout, stderr }: Exit): string {
  if (code !== 0) throw new Error(`${what}: exit status ${code ?? signal}\n${stderr}`);
  return stdout.trim();
}

async function canMakeNamespaces(): Promise<boolean> {
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
  } catch {
    return false;
  }
  const { code } = await runProcess("unshare", ["--net", "ip", "link", "set", "lo", "up"], NOWHERE);
  return code === 0;
}
