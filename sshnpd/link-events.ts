import type { Link, LinkEvent, ProvedHeads } from "../directory/client.ts";
import { equalBytes } from "../keys/bytes.ts";
import { type ErrorCode, SetupError, SshnpError, UnavailableError } from "../keys/errors.ts";
import type { Name } from "../keys/names.ts";
import { LABEL } from "../protocol/label.ts";
import { LINK_NAMES } from "../protocol/limits.ts";
import type { LinkChanged, LinkNames, LinkOwn } from "../protocol/messages/link.ts";
import type { PeerClaim } from "../protocol/peers.ts";
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
  readonly requests: Pick<Requests, "answer">;
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
  /** Names whose owners the link of now has asked for. */
  #asked: ReadonlySet<Name> = new Set();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Hears for which owners the next link asks with its hello. */
  asks(names: readonly Name[]): void {
    this.#asked = new Set(names);
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
        return this.#take(() => this.#takeOwn(event.own, proved, link), failed);
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
    try {
      return this.#parts.directory.client.acceptProof(proof);
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

  /**
   * Of a device that its owner has revoked nothing may go on; of one that is bound otherwise, neither. What goes on is judged
   * by a new policy at once, also where it cannot be written down.
   */
  async #takeOwn(own: LinkOwn, proved: ProvedHeads, link: Link): Promise<void> {
    const { own: statements, sessions } = this.#parts;
    const before = statements.policyHash;
    try {
      await statements.take(own, proved);
      sessions.restore();
    } catch (error) {
      if (error instanceof SshnpError && NOT_ITSELF.has(error.code)) sessions.revokeAll();
      if (error instanceof SetupError) sessions.restore(); // it counts, and could only not be written
      throw error;
    } finally {
      if (!equalBytes(before, statements.policyHash)) await sessions.recheck();
    }
    await this.#askForMore(link);
  }

  /** A new policy may name owners that nobody knows yet; a link asks for them with its hello, so another one is made. */
  async #askForMore(link: Link): Promise<void> {
    const unresolved = await this.#parts.clients.unresolved();
    if (this.#asked.size === LINK_NAMES || unresolved.every((name) => this.#asked.has(name))) return;
    this.#parts.log.info("the policy names owners that are not known yet; asking for them");
    link.close();
  }

  /** A client with sessions stands otherwise than before: those that it could not begin now are ended. */
  async #changed({ client, statements }: LinkChanged, proved: ProvedHeads): Promise<void> {
    const { clients, sessions, directory, log } = this.#parts;
    const claim: PeerClaim = { ...client, role: "client", statements };
    try {
      const judged = await clients.judge(claim, directory.now());
      proved.demand(judged.newest);
      sessions.keepOf(client, judged.binding.statement);
      // What is asked for by an older binding and has not begun yet is refused by this one.
      if (judged.standing === "known" && !judged.firstContact) await this.#pin(claim);
    } catch (error) {
      if (!(error instanceof SshnpError) || error instanceof UnavailableError) throw error;
      logError(log, error, "the sessions of a client are ended", { client: client.name, member: client.member });
      sessions.revoke(client);
      if (error.code === "E_REVOKED") await clients.rememberRevocation(claim);
    }
  }

  /** That a disk is full ends nobody's sessions. */
  async #pin(claim: PeerClaim): Promise<void> {
    const { clients, directory, log } = this.#parts;
    try {
      await clients.pin(claim, directory.now());
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      logError(log, error, "a client's newer binding is not pinned");
    }
  }
}

/** Why a device is not the one any more that its clients have sessions with. */
const NOT_ITSELF: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["E_REVOKED", "E_MEMBER_KEY"]);
