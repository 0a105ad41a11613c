import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { SetupError } from "../keys/errors.ts";
import type { Asked } from "./attempt.ts";
import { bridge } from "./bridge.ts";
import type { Destination } from "./command-line.ts";
import { isInForeground } from "./foreground.ts";
import { type FrontDoor, openFrontDoor } from "./front-door.ts";
import { loadSessionAgent } from "./load-session-agent.ts";
import { Progress } from "./progress.ts";
import { proxyWords } from "./proxy-line.ts";
import { noSshServer, sshRefused } from "./session-texts.ts";
import type { Session } from "./session.ts";
import type { SessionAgent } from "./session-agent.ts";
import { signalStatus } from "./signal-status.ts";
import type { CommandEnd, SshProcess } from "./ssh-process.ts";
import { SshWatch } from "../protocol/ssh-watch.ts";

/**
 * Runs ssh, or a program that runs it, and meanwhile makes the session that ssh's proxy will ask for at a socket of ours; SSHNP_FRONT tells the
 * proxy where, and for which host.
 *
 * When no session comes about, ssh is ended before its proxy is let go, for it would complain about a closed connection;
 * so what a person reads last is our own error.
 */
export async function runFront(
  destination: Destination,
  keys: string,
  start: (front: string, agent: string | undefined) => SshProcess,
  asked?: Asked,
): Promise<CommandEnd> {
  let front: Front | undefined;
  let early: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (front === undefined) early ??= signal;
    else front.interrupt(signal);
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  const door = openFrontDoor();
  let agent: SessionAgent | undefined;
  try {
    agent = destination.sessionKey === true ? await loadSessionAgent() : undefined;
    if (early !== undefined) return { status: signalStatus(early), error: undefined };
    const ssh = start(`${proxyWords(destination).at(-1) ?? ""} ${door.path}`, agent?.path);
    front = new Front(destination, keys, door, ssh, agent, asked);
    return await front.run();
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
    door.close();
    await agent?.close();
  }
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

class Front {
  readonly #destination: Destination;
  readonly #keys: string;
  readonly #door: FrontDoor;
  readonly #ssh: SshProcess;
  readonly #agent: SessionAgent | undefined;
  readonly #asked: Asked | undefined;
  readonly #progress: Progress;
  readonly #watch = new SshWatch();
  readonly #attempt = new AbortController();
  #interruptedBy: NodeJS.Signals | undefined;

  constructor(
    destination: Destination,
    keys: string,
    door: FrontDoor,
    ssh: SshProcess,
    agent: SessionAgent | undefined,
    asked: Asked | undefined,
  ) {
    this.#destination = destination;
    this.#keys = keys;
    this.#door = door;
    this.#ssh = ssh;
    this.#agent = agent;
    this.#asked = asked;
    this.#progress = new Progress(destination.verbose);
  }

  /** A signal for us is one for ssh; while there is no SSH yet, it ends the attempt as well. */
  interrupt(signal: NodeJS.Signals): void {
    this.#interruptedBy ??= signal;
    if (!this.#watch.serverSpoke) {
      this.#attempt.abort(new SetupError("E_INTERRUPTED", "Interrupted."));
    }
    if (signal === "SIGINT" && isInForeground()) return; // ssh has had it from the terminal
    this.#ssh.child.kill(signal);
  }

  async run(): Promise<CommandEnd> {
    const opening = this.#open().then(
      (session) => ({ session }),
      (error: unknown) => ({ error }),
    );
    const first = await Promise.race([opening, this.#ssh.ended]);
    if ("session" in first) return await this.#accompany(first.session);
    if (!("status" in first)) return await this.#giveUp(first.error);
    // ssh has ended without us: it was interrupted, or it needed no connection.
    this.#attempt.abort(new SetupError("E_INTERRUPTED", "ssh has ended."));
    const late = await opening;
    if ("session" in late) await late.session.close();
    return this.#interrupted ?? first;
  }

  async #open(): Promise<Session> {
    const destination = this.#destination;
    const { signal } = this.#attempt;
    const [{ connect }, userKey] = await Promise.all([
      import("./connect.ts"),
      destination.pushKey === undefined
        ? undefined
        : import("./public-key.ts").then(({ findUserKey }) =>
            findUserKey(destination.pushKey?.identityFile, { signal }),
          ),
    ]);
    return await connect(destination, {
      ...{ keys: this.#keys, asked: this.#asked, userKey, sessionKey: this.#agent, progress: this.#progress, signal },
    });
  }

  /** From a session that stands to the end of ssh. */
  async #accompany(session: Session): Promise<CommandEnd> {
    const stream = session.open("ssh", { only: true });
    const visitor = await Promise.race([
      this.#door.visitor,
      ...[this.#ssh.ended, session.ended].map(async (end) => void (await end)),
    ]);
    const copied = visitor === undefined ? session.ended : this.#join(stream, visitor);
    await Promise.race([this.#ssh.ended, copied]);
    const hungUp = stream.readableEnded && !this.#watch.serverSpoke;
    await session.close();
    const failure = await session.ended;
    if (failure !== undefined && !this.#watch.serverSpoke) return await this.#giveUp(failure);
    this.#door.close();
    const end = await this.#ssh.ended;
    if (end.status !== 255 || end.error !== undefined) return end;
    if (failure !== undefined) return { status: 255, error: failure };
    if (this.#interruptedBy !== undefined) return end;
    if (hungUp) return { status: 255, error: noSshServer(session.attempt, "its SSH server hung up without a word.") };
    if (!this.#watch.mayHaveBeenRefused) return end;
    const pushed = this.#destination.pushKey !== undefined;
    return { status: 255, error: sshRefused(session.attempt, pushed, this.#agent !== undefined) };
  }

  #join(stream: Duplex, visitor: Socket): Promise<void> {
    this.#progress.step("ssh is joined to the session");
    return bridge(stream, { from: visitor, to: visitor }, this.#watch);
  }

  /** Ends ssh once it waits for us, if it does not end by itself, and leaves the last word to `error`. */
  async #giveUp(reason: unknown): Promise<CommandEnd> {
    const { child } = this.#ssh;
    await Promise.race([this.#door.visitor, this.#ssh.ended]);
    if (child.exitCode !== null || child.signalCode !== null) return this.#interrupted ?? (await this.#ssh.ended);
    child.kill("SIGTERM");
    await this.#ssh.ended;
    return this.#interrupted ?? { status: 255, error: reason };
  }

  /** The end of what was interrupted before there was a session, whatever status the program has for that. */
  get #interrupted(): CommandEnd | undefined {
    if (this.#interruptedBy === undefined) return undefined;
    return { status: signalStatus(this.#interruptedBy), error: undefined };
  }
}
