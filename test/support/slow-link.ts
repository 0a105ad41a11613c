import { join } from "node:path";
import { NetworkNamespace } from "./namespaces.ts";
import { type RunningProcess, startProcess } from "./processes.ts";

// Ports on the loopback of the link's own namespace, where nobody else is.
const PORTS = { emulator: 1000, ends: [1001, 1002] } as const;
const EMULATOR = join(import.meta.dirname, "slow-link-emulator.mjs");
const NOWHERE = { env: { HOME: "/nonexistent" }, cwd: "/" };

export interface SlowLinkEnd {
  readonly namespace: NetworkNamespace;
  /** Name of the interface that the namespace gets. */
  readonly name: string;
  /** ADDRESS/BITS. */
  readonly address: string;
}

/** What happens to packets of one direction. */
export interface LinkCondition {
  /** Time that each takes, in ms. */
  readonly delayMs: number;
  /** The part of them that gets lost: 0.1 is one in ten. */
  readonly loss: number;
  /** Nothing gets through. */
  readonly isCut: boolean;
}

export interface LinkCount {
  readonly passed: number;
  readonly dropped: number;
}

/** 0: from the first end to the second; 1: back. */
export type Direction = 0 | 1;

/**
 * A link between two namespaces for IP packets, with delay, loss and cuts that can be changed at any time. A TUN interface at
 * each end; their packets meet in a process that stands for the wire, so TCP's own set-up and retransmissions take place as
 * they would. Both ends stay up when the link is cut: nobody is told.
 */
export class SlowLink implements AsyncDisposable {
  readonly #namespace: NetworkNamespace;
  readonly #emulator: RunningProcess;
  #questions = 0;

  /** `seed`: decides which packets get lost. */
  static async join(
    ends: readonly [SlowLinkEnd, SlowLinkEnd],
    condition: Partial<LinkCondition> = {},
    seed = 1,
  ): Promise<SlowLink> {
    const namespace = await NetworkNamespace.make();
    const words = [EMULATOR, PORTS.emulator, ...PORTS.ends, seed].map(String);
    const emulator = startProcess(process.execPath, words, { ...NOWHERE, namespace });
    const link = new SlowLink(namespace, emulator);
    try {
      await emulator.line(/^ready$/);
      // Cut until both ends are up: socat ends itself when a packet comes for an interface that is down.
      for (const [index, end] of ends.entries()) await link.#attach(end, PORTS.ends[index] ?? 0);
      await link.set({ delayMs: 0, loss: 0, isCut: false, ...condition });
      return link;
    } catch (error) {
      await link[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(namespace: NetworkNamespace, emulator: RunningProcess) {
    this.#namespace = namespace;
    this.#emulator = emulator;
  }

  /** Changes one direction, or both; holds for packets sent from now on, a cut also for those in the air. */
  async set(condition: Partial<LinkCondition>, direction?: Direction): Promise<void> {
    const directions = direction === undefined ? [0, 1] : [direction];
    for (const from of directions) await this.#ask({ from, ...condition });
  }

  cut(): Promise<void> {
    return this.set({ isCut: true });
  }

  mend(): Promise<void> {
    return this.set({ isCut: false });
  }

  /** Packets so far, by direction. */
  async counts(): Promise<readonly [LinkCount, LinkCount]> {
    return JSON.parse(await this.#ask({})) as [LinkCount, LinkCount];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#emulator.stop();
    await this.#namespace[Symbol.asyncDispose]();
  }

  /** The interface is made here, where socat is, and moved; whoever holds it open keeps it wherever it is. */
  async #attach({ namespace, name, address }: SlowLinkEnd, port: number): Promise<void> {
    const tun = `TUN,iff-no-pi,tun-type=tun,tun-name=${name}`;
    const udp = `UDP:127.0.0.1:${PORTS.emulator},bind=127.0.0.1:${port}`;
    const socat = startProcess("socat", ["-d", "-d", tun, udp], { ...NOWHERE, namespace: this.#namespace });
    await socat.errorLine(/starting data transfer loop/);
    await this.#namespace.ip("link", "set", name, "netns", String(namespace.pid));
    await namespace.bringUp(name, address);
  }

  /** Its answer says that the change holds, and how many packets there were. */
  async #ask(condition: object): Promise<string> {
    this.#questions += 1;
    const number = this.#questions;
    this.#emulator.stdin.write(`${JSON.stringify({ number, ...condition })}\n`);
    const [, answer = ""] = await this.#emulator.line(new RegExp(`^${number} (.*)$`));
    return answer;
  }
}
