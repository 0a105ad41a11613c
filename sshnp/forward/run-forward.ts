import type { AskPassphrase } from "../../keys/end-key-files.ts";
import { SetupError } from "../../keys/errors.ts";
import { hostName } from "../../keys/names.ts";
import { askPassphrase } from "../../keys/passphrase.ts";
import { FORWARD_DRAIN_MS, FORWARD_KEPT_SECONDS } from "../../protocol/limits.ts";
import type { Attempt } from "../attempt.ts";
import type { Destination } from "../command-line.ts";
import { connect } from "../connect.ts";
import { keysFolderOf } from "../destination.ts";
import { Progress } from "../progress.ts";
import { signalStatus } from "../signal-status.ts";
import type { CommandEnd } from "../ssh-process.ts";
import { type RunningCommand, startCommand } from "./command.ts";
import { withPorts } from "./command-words.ts";
import { Connections } from "./connections.ts";
import { LastingSession } from "./lasting-session.ts";
import { listenAt, listenAtSocket, type Listening } from "./listen.ts";
import { Report } from "./report.ts";
import { type Bind, isLoopbackBind, type PortForward, type SocketForward } from "./spec.ts";
import { StreamQueue } from "./streams.ts";
import { endedByDevice, lost, openToOthers } from "./texts.ts";

/** What to forward, and how. */
export interface ForwardPlan {
  readonly ports: readonly PortForward[];
  readonly sockets: readonly SocketForward[];
  /** The port of a SOCKS server. */
  readonly socks: number | undefined;
  readonly bind: Bind;
  readonly keepAlive: boolean;
  readonly command: readonly [string, ...string[]] | undefined;
  /** Without any connection for so long, it ends; undefined: it does not. */
  readonly idleMs: number | undefined;
  readonly printPort: boolean;
  readonly json: boolean;
  readonly asked: Attempt["asked"];
}

/** Forwards until it is ended: by a signal, by its command, by having been idle, or because there is no session any more. */
export async function runForward(plan: ForwardPlan, destination: Destination): Promise<CommandEnd> {
  const progress = new Progress(destination.verbose);
  const forwarding = new Forwarding(plan, destination, progress);
  process.stdout.on("error", () => {}); // whoever read the events may have gone
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => forwarding.interrupt(signal));
  return await forwarding.run();
}

class Forwarding {
  readonly #plan: ForwardPlan;
  readonly #destination: Destination;
  readonly #progress: Progress;
  readonly #report: Report;
  readonly #stop = new AbortController();
  readonly #session: LastingSession;
  readonly #connections: Connections;
  readonly #listening: { readonly at: Listening; readonly service: string | null }[] = [];
  readonly #ended: Promise<CommandEnd>;
  #end: (end: CommandEnd) => void = () => {};
  #interrupted: CommandEnd | undefined;
  #command: RunningCommand | undefined;
  #idle: NodeJS.Timeout | undefined;
  #isReady = false;
  #asked: ReturnType<AskPassphrase> | undefined;

  constructor(plan: ForwardPlan, destination: Destination, progress: Progress) {
    this.#plan = plan;
    this.#destination = destination;
    this.#progress = progress;
    this.#report = new Report(progress, plan.json);
    this.#ended = new Promise((resolve) => (this.#end = resolve));
    this.#session = this.#newSession();
    const queue = new StreamQueue(this.#session);
    this.#connections = new Connections(queue, destination.device, this.#report, () => this.#watchIdle());
  }

  interrupt(signal: NodeJS.Signals): void {
    if (this.#command !== undefined) return this.#command.pass(signal);
    this.#interrupted ??= { status: signalStatus(signal), error: undefined };
    this.#stop.abort(new SetupError("E_INTERRUPTED", "Interrupted."));
    this.#end(this.#interrupted);
  }

  async run(): Promise<CommandEnd> {
    try {
      await this.#listen();
      await this.#session.begin();
      void this.#session.over.then((error) => this.#end({ status: 1, error }));
      this.#announce();
      this.#isReady = true;
      this.#watchIdle();
      if (this.#plan.command !== undefined) void this.#runCommand(this.#plan.command);
      return await this.#ended;
    } catch (error) {
      return this.#interrupted ?? { status: 1, error };
    } finally {
      await this.#close();
    }
  }

  #newSession(): LastingSession {
    const { plan, destination, report } = { plan: this.#plan, destination: this.#destination, report: this.#report };
    const { signal } = this.#stop;
    const wanted = [...plan.ports, ...plan.sockets].map(({ service }) => service);
    return new LastingSession({
      services: [...new Set(wanted)],
      keepAlive: plan.keepAlive,
      connect: async (service, { isLost }) => {
        // The directory keeps the request: so it begins when the device is back, and nobody has to ask again and again.
        const waitSeconds = Math.max(destination.waitSeconds, isLost ? FORWARD_KEPT_SECONDS : 0);
        const keys = keysFolderOf(destination);
        const more = { asked: plan.asked, userKey: undefined, passphrase: this.#passphrase, progress: this.#progress };
        return await connect({ ...destination, waitSeconds }, { keys, service, ...more, signal });
      },
      onUp: () => report.tell({ event: "up" }),
      onBack: () => report.tell({ event: "back" }, `${hostName(destination.device)} is back: a new session stands.`),
      onLost: (error) =>
        report.tell({ event: "lost", code: error.code, message: error.message }, lost(destination, error)),
      onDenied: (service, error) => report.refused(service, error),
      endedByDevice: ({ attempt }) => endedByDevice(attempt),
      now: () => performance.now(),
      wait: async (ms) =>
        await (await import("node:timers/promises")).setTimeout(ms, undefined, { signal }).catch(() => {}),
      random: Math.random,
    });
  }

  /** Asked for once, for nobody may be there when a session is made anew. */
  readonly #passphrase: AskPassphrase = (file) => {
    this.#asked ??= askPassphrase(file, { signal: this.#stop.signal });
    return this.#asked;
  };

  /** Ahead of the session: a port that is taken is no affair of the device's. What connects meanwhile waits. */
  async #listen(): Promise<void> {
    const { ports, sockets, socks, bind } = this.#plan;
    for (const { bind: own = bind, port, service } of ports) {
      this.#warnOf(own, port);
      const at = await listenAt(own, port, (local) => this.#connections.take(local, service));
      this.#listening.push({ at, service });
    }
    if (socks !== undefined) {
      this.#warnOf(bind, socks);
      const at = await listenAt(bind, socks, (local) => this.#connections.takeSocks(local));
      this.#listening.push({ at, service: null });
    }
    for (const { path, service } of sockets) {
      const at = await listenAtSocket(path, (local) => this.#connections.take(local, service));
      this.#listening.push({ at, service });
    }
    this.#stop.signal.throwIfAborted();
  }

  #warnOf(bind: Bind, port: number): void {
    if (isLoopbackBind(bind) || bind === "loopback") return;
    this.#progress.note(openToOthers(placeOf(bind.address, port), this.#destination.client ?? "your client"));
  }

  #announce(): void {
    const device = hostName(this.#destination.device);
    for (const { at, service } of this.#listening) {
      for (const address of at.addresses) {
        this.#report.tell({
          event: "listening",
          address,
          ...(at.port === undefined ? {} : { port: at.port }),
          service,
        });
      }
      const places = at.addresses.map((address) => (at.port === undefined ? address : placeOf(address, at.port)));
      const what = service === null ? "SOCKS5 for what" : `to ${service.slice("tcp:".length)} as`;
      if (!this.#plan.json)
        this.#progress.note(
          `Forwarding ${places.join(" and ")} ${what} ${device} reaches ${service === null ? "" : "it"}`.trimEnd(),
        );
    }
    if (this.#plan.printPort) process.stdout.write(this.#ports.map((port) => `${port}\n`).join(""));
  }

  get #ports(): readonly number[] {
    return this.#listening.flatMap(({ at }) => at.port ?? []);
  }

  async #runCommand(words: readonly [string, ...string[]]): Promise<void> {
    this.#command = startCommand(withPorts(words, this.#ports), (text) => this.#progress.note(text));
    const status = await this.#command.ended;
    this.#command = undefined; // a signal is for us again
    for (const { at } of this.#listening) at.close();
    await this.#connections.drained(AbortSignal.timeout(FORWARD_DRAIN_MS)).catch(() => {});
    this.#end({ status, error: undefined });
  }

  #watchIdle(): void {
    clearTimeout(this.#idle);
    const { idleMs } = this.#plan;
    if (idleMs === undefined || !this.#isReady || this.#connections.count > 0) return;
    this.#idle = setTimeout(() => {
      this.#report.tell({ event: "idle" }, `No connection for ${idleMs / 1000} s: ended.`);
      this.#end({ status: 0, error: undefined });
    }, idleMs);
  }

  async #close(): Promise<void> {
    this.#isReady = false;
    clearTimeout(this.#idle);
    for (const { at } of this.#listening) at.close();
    await this.#command?.stop();
    this.#stop.abort(new SetupError("E_INTERRUPTED", "Ended."));
    this.#connections.close();
    await this.#session.close();
  }
}

function placeOf(address: string, port: number): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}
