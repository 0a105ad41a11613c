import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Socket } from "node:net";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { UnavailableError } from "../keys/errors.ts";
import type { Name } from "../keys/names.ts";
import { printable } from "../keys/print-error.ts";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import { SSH_CHILD_END_MS, SSH_CHILD_LINES, SSH_CHILDREN } from "../protocol/limits.ts";
import { CLOCK } from "./clock.ts";
import { type InetdProgram, type InetdSurroundings, inetdProgram, type Wanted } from "./inetd-program.ts";
import { Carried, joinStream } from "./join-stream.ts";
import type { Log } from "./log.ts";
import { refuseOtherLogin } from "./other-login.ts";
import { bareEnvironment } from "./programs.ts";
import type { Served, SshServer, SshVisitor } from "./ssh-server.ts";
import { leavesShare } from "./startup-gate.ts";

/**
 * A process of sshd or dropbear for each stream, which ends with it; no port is listened on. Each is in a process group of its
 * own, sees nothing of our environment, and has one connected socket for both ways, as dropbear demands.
 */
export class InetdServer implements SshServer {
  readonly mode = "inetd";
  readonly #wanted: Wanted;
  readonly #surroundings: InetdSurroundings;
  readonly #most: number;
  /** And for which client each is. */
  readonly #children = new Map<Child, Name>();
  #known: { readonly program: InetdProgram; readonly at: number } | undefined;
  #looking: Promise<InetdProgram> | undefined;

  /** `most` of them run at a time, for one client half of these. */
  constructor(wanted: Wanted, surroundings: InetdSurroundings, most = SSH_CHILDREN) {
    this.#most = most;
    this.#wanted = wanted;
    this.#surroundings = surroundings;
  }

  async hostKeys(login: string): Promise<readonly Uint8Array[]> {
    const { hostKeys, onlyLogin } = await this.#program();
    refuseOtherLogin(login, onlyLogin);
    return hostKeys;
  }

  serve(stream: ChannelStream, { client, login, certified }: SshVisitor, log: Log): Served {
    const carried = new Carried();
    const carry = async (): Promise<void> => {
      await this.hostKeys(login);
      await this.#carry(stream, trusting(await this.#program(), certified), { client, carried, log });
    };
    void carry()
      .catch((error: unknown) => {
        log.warn({ reason: error instanceof Error ? error.message : "" }, "no SSH server for a stream");
        stream.refuse("unreachable");
      })
      .finally(() => carried.end());
    return carried;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#children.keys()].map((child) => child.end()));
  }

  async #program(): Promise<InetdProgram> {
    if (this.#known !== undefined && CLOCK.now() - this.#known.at < KNOWN_MS) return this.#known.program;
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return await this.#looking;
  }

  async #look(): Promise<InetdProgram> {
    const program = await inetdProgram(this.#wanted, this.#surroundings);
    if (program === undefined) throw notInstalled(this.#wanted.name);
    this.#known = { program, at: CLOCK.now() };
    return program;
  }

  async #carry(stream: ChannelStream, program: InetdProgram, { client, carried, log }: Visit): Promise<void> {
    if (stream.destroyed) return;
    const own = [...this.#children.values()].filter((other) => other === client).length;
    if (!leavesShare({ own, free: this.#most - this.#children.size })) {
      log.warn(
        { children: this.#children.size, own },
        "stream refused: as many SSH servers run as may, or as its client may have",
      );
      stream.refuse("failed");
      return;
    }
    const child = Child.start(program, log);
    if (child === undefined) {
      stream.refuse("failed");
      return;
    }
    this.#children.set(child, client);
    const { socket } = child;
    const giveUp = (): void => void socket.destroy();
    stream.once("close", giveUp);
    try {
      // Either server speaks first; one that does not come has said why on its stderr.
      const isThere = await speaks(socket);
      if (!isThere || stream.destroyed) {
        stream.refuse("unreachable");
      } else {
        stream.off("close", giveUp);
        stream.accept();
        joinStream(stream, socket);
        await once(socket, "close");
      }
      carried.count(socket);
    } finally {
      socket.destroy();
      await child.end();
      this.#children.delete(child);
    }
  }
}

interface Visit {
  readonly client: Name;
  readonly carried: Carried;
  readonly log: Log;
}

/** sshd takes the certificate of this session. What the system's configuration trusts otherwise is for other sessions. */
function trusting(program: InetdProgram, certified: SshVisitor["certified"]): InetdProgram {
  if (certified === undefined || program.name !== "sshd") return program;
  return { ...program, words: [...program.words, "-o", `TrustedUserCAKeys="${certified.authorityPath}"`] };
}

/** One server process, on the other end of `socket`. */
class Child {
  readonly socket: Socket;
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;

  /** Undefined when this machine, or the limit of open files of this process, has no room for one; the log says so. */
  static start({ name, file, words }: InetdProgram, log: Log): Child | undefined {
    // The shell makes the one socket that we can give, a pair that never had a name, the server's input and output.
    const child = spawn("/bin/sh", ["-c", 'exec "$0" "$@" <&3 >&3 3>&-', file, ...words], {
      cwd: "/",
      env: bareEnvironment(),
      detached: true,
      stdio: ["ignore", "ignore", "pipe", "pipe"],
    });
    const ended = new Promise<void>((resolve) => {
      child.once("exit", (status, signal) => {
        log.debug({ pid: child.pid, status, signal }, "SSH server process ended");
        resolve();
      });
      child.once("error", (error) => {
        log.warn({ reason: error.message }, "SSH server process not started");
        resolve();
      });
    });
    // Where descriptors have run out there are no streams at all, whatever the types say.
    const socket = (child.stdio as ChildProcess["stdio"] | undefined)?.[3];
    if (!(socket instanceof Socket)) return undefined;
    if (child.pid !== undefined) log.info({ pid: child.pid, program: name }, "stream at an SSH server process");
    if (child.stderr !== null) logLines(child.stderr, log.child({ pid: child.pid }), name);
    return new Child(child, socket, ended);
  }

  private constructor(child: ChildProcess, socket: Socket, ended: Promise<void>) {
    this.#process = child;
    this.socket = socket;
    this.#ended = ended;
    socket.allowHalfOpen = true;
    socket.on("error", () => {}); // a close comes with it
    child.once("error", () => socket.destroy());
  }

  /** Hangs up, and resolves when the process has ended: by itself, or by force after a moment. */
  async end(): Promise<void> {
    this.socket.destroy();
    const timer = setTimeout(() => this.#kill(), SSH_CHILD_END_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  /** With its process group, which whoever has logged in is no part of: sshd and dropbear begin a session for him. */
  #kill(): void {
    const { pid, exitCode, signalCode } = this.#process;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // it has ended meanwhile
    }
  }
}

/** Resolves with true when there is something to read, and false when the socket is closed or ended without. */
function speaks(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (is: boolean) => (): void => {
      socket.off("readable", onReadable).off("close", onClose);
      resolve(is);
    };
    const onReadable = (): void => settle(socket.readableLength > 0)();
    const onClose = settle(false);
    socket.on("readable", onReadable).once("close", onClose);
  });
}

function logLines(stderr: Readable, log: Log, name: string): void {
  let count = 0;
  stderr.on("error", () => {});
  createInterface({ input: stderr }).on("line", (line) => {
    count += 1;
    if (count > SSH_CHILD_LINES) return;
    log.info({ line: printable(line.slice(0, LINE_CHARACTERS)) }, `${name} says`);
  });
}

/** Between two looks at the program and its host keys. */
const KNOWN_MS = 60_000;
const LINE_CHARACTERS = 1_000;

function notInstalled(name: string): UnavailableError {
  return new UnavailableError("E_NO_SSHD", `No SSH server on this device: ${name} is not installed.`, {
    next: "Install it (Debian: apt-get install openssh-server), or have one listen: sshnpd --ssh-mode tcp --ssh-port PORT",
  });
}
