import { connect } from "node:net";
import {
  AgentAnswerBuffer,
  type AgentAnswer,
  type AgentKey,
  encodeKeysRequest,
  encodeSignRequest,
  parseAgentAnswer,
} from "./agent-messages.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import { DeniedError, PeerError, SecurityError, SetupError, SshnpError, UnavailableError } from "./errors.ts";
import type { PublicKeyLine } from "./openssh.ts";
import { shellWord } from "./shell-word.ts";
import { verifySignature } from "./ssh-signature.ts";

export interface AgentWaits {
  /** ms that it has to tell its keys. */
  readonly keysMs: number;
  /** ms that it has to sign: a person may have to find the token first, or to answer a question of the agent's. */
  readonly signMs: number;
}

interface Waiting {
  readonly signal?: AbortSignal | undefined;
}

/**
 * A client of ssh-agent, or of what speaks its protocol (RFC 9987) in its place. Nothing that it says is believed: each
 * wait has an end, each answer a bound, and a signature is verified before it leaves this class.
 */
export class SshAgent {
  readonly #suite: CipherSuite;
  readonly #path: string;
  readonly #waits: AgentWaits;

  /** `path` is that of its socket. */
  constructor(suite: CipherSuite, path: string, waits: AgentWaits) {
    this.#suite = suite;
    this.#path = path;
    this.#waits = waits;
  }

  /** The one that SSH_AUTH_SOCK names. @throws {SetupError} E_AGENT when it names none. */
  static fromEnvironment(
    suite: CipherSuite,
    environment: Readonly<Record<string, string | undefined>>,
    waits: AgentWaits,
  ): SshAgent {
    const path = environment["SSH_AUTH_SOCK"];
    if (path !== undefined && path !== "") return new SshAgent(suite, path, waits);
    throw new SetupError("E_AGENT", "There is no SSH agent here: SSH_AUTH_SOCK is not set.", {
      next: 'Start one and give it the key: eval "$(ssh-agent)"; ssh-add FILE',
    });
  }

  /**
   * The keys that it has; none as well when it is locked.
   * @throws {UnavailableError} E_AGENT when it does not answer in time; {PeerError} E_AGENT when that is no answer. The
   * signal's reason when it is aborted.
   */
  async keys(waiting: Waiting = {}): Promise<readonly AgentKey[]> {
    const answer = await this.#ask(encodeKeysRequest(), this.#waits.keysMs, waiting);
    switch (answer.type) {
      case "keys":
        return answer.keys;
      case "failure":
        return [];
      case "signature":
        throw this.#nonsense();
    }
  }

  /**
   * The signature of a key over `data` in SSH's encoding, verified.
   * @throws {DeniedError} E_AGENT when it refuses; {SecurityError} E_AGENT when the signature does not hold; otherwise as
   * {@link keys}.
   */
  async sign(key: PublicKeyLine, data: Uint8Array, waiting: Waiting = {}): Promise<Uint8Array> {
    const answer = await this.#ask(encodeSignRequest(key.blob, data), this.#waits.signMs, waiting);
    switch (answer.type) {
      case "signature":
        this.#verify(key, answer.signature, data);
        return answer.signature;
      case "failure":
        throw new DeniedError("E_AGENT", "The SSH agent refused to sign.", { next: REFUSED });
      case "keys":
        throw this.#nonsense();
    }
  }

  #verify(key: PublicKeyLine, signature: Uint8Array, data: Uint8Array): void {
    let cause: unknown;
    try {
      if (verifySignature(this.#suite, key, signature, data) === true) return;
    } catch (error) {
      cause = error;
    }
    throw new SecurityError("E_AGENT", "The SSH agent gave a signature that is not that key's.", {
      next: `Do not use that agent: ${shellWord(this.#path)}`,
      cause,
    });
  }

  /** One question and its answer, on a connection of their own. */
  async #ask(request: Uint8Array, ms: number, { signal }: Waiting): Promise<AgentAnswer> {
    signal?.throwIfAborted();
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), ms);
    const ends = signal === undefined ? [late.signal] : [signal, late.signal];
    try {
      const socket = connect({ path: this.#path, signal: AbortSignal.any(ends) });
      socket.write(request);
      const answer = new AgentAnswerBuffer();
      for await (const piece of socket) {
        const whole = answer.push(piece as Uint8Array);
        if (whole !== undefined) return parseAgentAnswer(whole);
      }
      throw this.#silence("ended the connection instead of an answer");
    } catch (error) {
      signal?.throwIfAborted();
      if (late.signal.aborted) throw this.#silence(`has not answered within ${ms / 1000} s`);
      if (error instanceof PeerError) throw this.#nonsense(error);
      if (error instanceof SshnpError) throw error;
      throw this.#unreachable(error);
    } finally {
      clearTimeout(timer);
    }
  }

  #unreachable(cause: unknown): UnavailableError {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "no connection";
    return new UnavailableError("E_AGENT", `Cannot reach the SSH agent at ${shellWord(this.#path)} (${reason}).`, {
      next: "Set SSH_AUTH_SOCK to the socket of one that runs: ssh-add -l lists its keys then.",
      cause,
    });
  }

  #silence(what: string): UnavailableError {
    return new UnavailableError("E_AGENT", `The SSH agent at ${shellWord(this.#path)} ${what}.`, {
      next: "Run this again; touch the token when it asks for it, or answer what the agent asks.",
    });
  }

  #nonsense(cause?: unknown): PeerError {
    return new PeerError("E_AGENT", `What answers at ${shellWord(this.#path)} is no SSH agent.`, {
      next: "Set SSH_AUTH_SOCK to the socket of one: ssh-add -l lists its keys then.",
      cause,
    });
  }
}

const REFUSED =
  "Is it locked (ssh-add -X), did somebody say no, is the token there? For a token with a PIN it needs a way to ask for it (SSH_ASKPASS).";
