import type { Link, LinkEvent, ProvedHeads } from "../directory/client.ts";
import { type ErrorCode, SshnpError, UnavailableError } from "../keys/errors.ts";
import { LABEL } from "../protocol/label.ts";
import type { LinkChanged, LinkNames } from "../protocol/messages/link.ts";
import type { Clients } from "./clients.ts";
import { type Log, logError } from "./log.ts";
import type { OwnDirectory } from "./own-directory.ts";
import type { OwnStatements } from "./own-statements.ts";
import type { Requests } from "./requests.ts";
import type { Sessions } from "./sessions.ts";

interface Parts {
  readonly directory: OwnDirectory;
  readonly own: OwnStatements;
  readonly clients: Clients;
  readonly requests: Requests;
  readonly sessions: Sessions;
  readonly log: Log;
}

/**
 * What the directory says on the link, in the order in which it says it: each proof must continue the one before, and what
 * it said of owners, policy and the device counts for the requests that follow.
 */
export class LinkEvents {
  readonly #parts: Parts;
  /** Resolves when all that was said so far, but requests, is taken. */
  #taken: Promise<void> = Promise.resolve();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Handles one event. `current` gives the link of then, for an answer goes by whichever is there: the directory knows it by
   * its session id. `failed` hears of what makes the link unbearable after this has returned.
   * @throws {SecurityError} E_LOG, E_WITNESS and {PeerError} when a proof does not hold: nothing on this link can count then.
   */
  handle(event: LinkEvent, link: Link, current: () => Link | undefined, failed: (error: unknown) => void): void {
    switch (event.type) {
      case "notify": {
        const { notify } = event;
        const proved = this.#accept(notify.proof, (code) =>
          link.answer({ sid: notify.prologue.sid, code, labels: [LABEL] }),
        );
        void this.#taken
          .then(() => this.#parts.requests.answer(notify, proved))
          .then((answer) => current()?.answer(answer));
        return;
      }
      case "names": {
        const proved = this.#accept(event.names.proof);
        return this.#take(() => this.#learn(event.names, proved), failed);
      }
      case "own": {
        const proved = this.#accept(event.own.proof);
        return this.#take(() => this.#takeOwn(event.own, proved), failed);
      }
      case "changed": {
        const proved = this.#accept(event.changed.proof);
        return this.#take(() => this.#changed(event.changed, proved), failed);
      }
      case "keyList":
        this.#parts.log.debug({ seq: event.keyList.list.seq }, "new key list");
    }
  }

  #accept(proof: Uint8Array, refused?: (code: "E_LOG" | "E_WITNESS") => void): ProvedHeads {
    const { directory } = this.#parts;
    try {
      return directory.client.acceptProof(proof, directory.now());
    } catch (error) {
      refused?.(error instanceof SshnpError && error.code === "E_WITNESS" ? "E_WITNESS" : "E_LOG");
      throw error;
    }
  }

  #take(action: () => Promise<void>, failed: (error: unknown) => void): void {
    this.#taken = this.#taken.then(action).catch(failed);
  }

  /** Owners of names that the daemon asked for. One that is not believed keeps the others from nothing. */
  async #learn({ chains }: LinkNames, proved: ProvedHeads): Promise<void> {
    const { clients, directory, log } = this.#parts;
    proved.demand(clients.newestOf(chains));
    for (const chain of chains) {
      try {
        await clients.learn(chain, directory.now());
      } catch (error) {
        logError(log, error, "the directory's word on an owner key is not believed");
      }
    }
  }

  /** Of a device that its owner has revoked nothing may go on; of one that is bound otherwise, neither. */
  async #takeOwn(own: Parameters<OwnStatements["take"]>[0], proved: ProvedHeads): Promise<void> {
    const { own: statements, sessions } = this.#parts;
    try {
      await statements.take(own, proved);
    } catch (error) {
      if (error instanceof SshnpError && NOT_ITSELF.has(error.code)) sessions.revokeAll();
      throw error;
    }
  }

  /** A client with sessions stands otherwise than before: those that it could not begin now are ended. */
  async #changed({ client, statements }: LinkChanged, proved: ProvedHeads): Promise<void> {
    const { clients, sessions, directory, log } = this.#parts;
    try {
      const judged = await clients.judge({ ...client, role: "client", statements }, directory.now());
      proved.demand(judged.newest);
      sessions.keepOf(client, judged.binding.statement.x25519);
    } catch (error) {
      if (!(error instanceof SshnpError) || error instanceof UnavailableError) throw error;
      logError(log, error, "the sessions of a client are ended", { client: client.name, member: client.member });
      sessions.revoke(client);
    }
  }
}

/** Why a device is not the one any more that its clients have sessions with. */
const NOT_ITSELF: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["E_REVOKED", "E_MEMBER_KEY"]);
