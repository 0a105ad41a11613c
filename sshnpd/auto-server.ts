import { DeniedError, SetupError, SshnpError, UnavailableError } from "../keys/errors.ts";
import { parsePublicKeyBlob } from "../keys/openssh.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import { Carried } from "./join-stream.ts";
import { type Log, logError } from "./log.ts";
import type { Served, SshServer, SshVisitor } from "./ssh-server.ts";
import { keepsPins, readToldHostKeys, type ToldHostKeys, writeToldHostKeys } from "./told-host-keys.ts";

/** One of the servers that may be there. */
export interface Candidate {
  /** What it is called in logs and in the state folder. */
  readonly word: string;
  readonly server: SshServer;
  /** False when it is certain, at little cost, that it is not there. */
  readonly mayBeThere?: () => Promise<boolean>;
}

export interface AutoServerOptions {
  /** The one to be taken first comes first; one at least. */
  readonly candidates: readonly Candidate[];
  readonly state: PrivateFolder;
  /** Begins names of files in it. */
  readonly member: string;
  /** Whether clients may be led to other host keys than before, because whoever runs this has chosen so. */
  readonly mayChangeKeys: boolean;
  readonly log: Log;
}

interface Choice {
  readonly candidate: Candidate;
  readonly hostKeys: readonly Uint8Array[];
}

/**
 * The first of several servers that is there at the moment, asked anew for each request and each stream. A client has pinned
 * the host keys that it was led to, so another server takes over by itself only with the same ones
 * (docs/decisions/0022-a-device-keeps-its-host-keys.md).
 */
export class AutoServer implements SshServer {
  readonly #options: AutoServerOptions;
  #told: Promise<ToldHostKeys | undefined> | undefined;
  #chosen: Candidate | undefined;
  #warned = "";

  constructor(options: AutoServerOptions) {
    this.#options = options;
  }

  /** Of the server that was chosen last. */
  get mode(): SshServer["mode"] {
    return this.#chosen?.server.mode ?? "tcp";
  }

  /** The word of the server that was chosen last. */
  get word(): string | undefined {
    return this.#chosen?.word;
  }

  async hostKeys(login: string): Promise<readonly Uint8Array[]> {
    return (await this.#choose(login)).hostKeys;
  }

  serve(stream: ChannelStream, visitor: SshVisitor, log: Log): Served {
    const carried = new Carried();
    const serve = async (): Promise<void> => {
      const choosing = this.#choose(visitor.login);
      const remembered = choosing
        .then((choice) => this.#remember(choice))
        .catch((error: unknown) => logError(log, error, "host keys not remembered"));
      const { server } = this.#only ?? (await choosing).candidate;
      await remembered;
      if (stream.destroyed) return;
      const served = server.serve(stream, visitor, log);
      await served.closed;
      carried.received += served.received;
      carried.sent += served.sent;
    };
    void serve()
      .catch((error: unknown) => {
        logError(log, error, "no SSH server for a stream");
        stream.refuse("unreachable");
      })
      .finally(() => carried.end());
    return carried;
  }

  async close(): Promise<void> {
    await Promise.all(this.#options.candidates.map(({ server }) => server.close()));
  }

  /** Where there is no choice, nothing has to answer before a stream gets to it. */
  get #only(): Candidate | undefined {
    const { candidates } = this.#options;
    return candidates.length === 1 ? candidates[0] : undefined;
  }

  async #choose(login: string): Promise<Choice> {
    const { candidates, mayChangeKeys, log } = this.#options;
    const told = await this.#readTold();
    const failures: SshnpError[] = [];
    const others: Choice[] = [];
    for (const candidate of candidates) {
      if (candidate.mayBeThere !== undefined && !(await candidate.mayBeThere())) continue;
      try {
        const choice = { candidate, hostKeys: await candidate.server.hostKeys(login) };
        if (told === undefined || told.server === candidate.word || keepsPins(told.hostKeys, choice.hostKeys)) {
          if (others.length === 0) this.#warned = "";
          else this.#warnOnce(others, candidate);
          return this.#chooseThis(choice);
        }
        others.push(choice);
      } catch (error) {
        if (!(error instanceof SshnpError)) throw error;
        if (error instanceof DeniedError) throw error; // it is there, and not for this login
        failures.push(error);
        log.debug({ server: candidate.word, code: error.code, reason: error.message }, "this SSH server is not there");
      }
    }
    const [other] = others;
    if (other !== undefined && mayChangeKeys) return this.#chooseThis(other);
    if (other !== undefined && told !== undefined) throw wouldChangeKeys(told, other);
    throw failures.find((error) => error instanceof SetupError) ?? failures[0] ?? noServer();
  }

  /** What could not be read may have been mended by the next time. */
  #readTold(): Promise<ToldHostKeys | undefined> {
    this.#told ??= readToldHostKeys(this.#options.state, this.#options.member).catch((error: unknown) => {
      this.#told = undefined;
      throw error;
    });
    return this.#told;
  }

  #chooseThis(choice: Choice): Choice {
    const { candidate } = choice;
    if (candidate !== this.#chosen) {
      this.#chosen = candidate;
      this.#options.log.info({ mode: candidate.server.mode, server: candidate.word }, "SSH server chosen");
    }
    return choice;
  }

  #warnOnce(others: readonly Choice[], taken: Candidate): void {
    const words = others.map(({ candidate }) => candidate.word).join();
    if (words === this.#warned) return;
    this.#warned = words;
    this.#options.log.warn(
      { server: words, taken: taken.word },
      "another SSH server is there now, with other host keys than clients have been led to; it is not taken (sshnpd --ssh-mode)",
    );
  }

  async #remember({ candidate, hostKeys }: Choice): Promise<void> {
    const lines = hostKeys.map((blob) => parsePublicKeyBlob(blob));
    const told = await this.#told;
    const printed = (keys: ToldHostKeys["hostKeys"]): string => keys.map(({ line }) => line).join();
    if (told?.server === candidate.word && printed(told.hostKeys) === printed(lines)) return;
    const next = { server: candidate.word, hostKeys: lines };
    this.#told = Promise.resolve(next);
    await writeToldHostKeys(this.#options.state, this.#options.member, next);
  }
}

function wouldChangeKeys(told: ToldHostKeys, { candidate }: Choice): UnavailableError {
  return new UnavailableError(
    "E_NO_SSHD",
    `No SSH server on this device: the one that clients know (${told.server}) is away, and ${candidate.word} has other host keys.`,
    {
      next: `Start it again; or change the host keys of this device, for every client to accept: sshnpd --ssh-mode ${candidate.server.mode}`,
    },
  );
}

function noServer(): UnavailableError {
  return new UnavailableError(
    "E_NO_SSHD",
    "No SSH server on this device: nothing answers on its SSH port, and none is installed.",
    {
      next: "Install one (Debian: apt-get install openssh-server), or give the port of one: sshnpd --ssh-port PORT",
    },
  );
}
