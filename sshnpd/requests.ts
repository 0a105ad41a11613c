import type { ProvedHeads } from "../directory/client.ts";
import { hex } from "../keys/bytes.ts";
import type { CipherSuite, Kem, RandomBytes } from "../keys/cipher-suite.ts";
import { PeerError, SetupError, SshnpError, UnavailableError } from "../keys/errors.ts";
import type { MemberName, Name } from "../keys/names.ts";
import { type PublicKeyLine, parsePublicKeyBlob } from "../keys/openssh.ts";
import type { X25519PrivateKey, X25519PublicKey } from "../keys/x25519.ts";
import type { VerifiedKeyList } from "../protocol/key-list.ts";
import { LABEL } from "../protocol/label.ts";
import {
  EARLY_WINDOW_BYTES,
  REQUESTS_AT_ONCE,
  SESSION_WINDOW_BYTES,
  STREAM_WINDOW_BYTES,
  STREAMS,
  UNLISTED_REQUESTS_PER_SECOND,
} from "../protocol/limits.ts";
import type { Answer, Notify } from "../protocol/messages/session-request.ts";
import type { HandshakeResult } from "../protocol/noise/handshake-result.ts";
import type { JudgedPeer, PeerClaim } from "../protocol/peers.ts";
import { REFUSAL_NUMBERS, type RefusalCode } from "../protocol/refusal-codes.ts";
import { AnswerCache } from "../protocol/session/answer-cache.ts";
import type { AnswerPayload, ChannelLimits } from "../protocol/session/payloads.ts";
import { SessionResponder } from "../protocol/session/responder.ts";
import { type Ticket, ticketHash } from "../protocol/ticket.ts";
import type { Standing } from "./access.ts";
import type { Clients } from "./clients.ts";
import type { DeviceAccess } from "./device-access.ts";
import { type Log, logError } from "./log.ts";
import type { OwnStatements } from "./own-statements.ts";
import { refusalWithoutSsh } from "./refusal-without-ssh.ts";
import { type CertifiedKey, certificateFor, type SessionKeys } from "./session-keys.ts";
import { verifyNotify } from "./verify-notify.ts";

/** A session that was granted. Nothing of it happens before its client's CONFIRM. */
export interface GrantedSession {
  readonly sid: Uint8Array;
  /** Who it was granted to, to be pinned once proved. */
  readonly claim: PeerClaim;
  /** What it was asked for, and as which user on this machine; empty: none was named. */
  readonly service: string;
  readonly login: string;
  /** The static key that its binding names. */
  readonly clientKey: X25519PublicKey;
  /** When that binding ends, ms since 1970 UTC; null: never. */
  readonly expires: number | null;
  readonly ticket: Ticket;
  /** The ticket as the directory signed it. */
  readonly ticketBytes: Uint8Array;
  readonly legKey: SessionResponder["legKey"];
  readonly keys: HandshakeResult;
  /** A key to be written for the account of that login; empty: the daemon's own. */
  readonly pushedKey: { readonly login: string; readonly key: PublicKeyLine } | undefined;
  /** The key of this session that was certified for that login. */
  readonly certified?: CertifiedKey | undefined;
}

export interface RequestsOptions {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly loadKem: () => Promise<Kem>;
  readonly own: Pick<OwnStatements, "party" | "policyClaim">;
  /** The newest checkpoint seen of the directory's log, a signed note; empty: none. */
  readonly checkpoint: () => string;
  /** Compares a client's newest checkpoint with what this device has seen. @throws {LogEvidenceError} E_LOG. */
  readonly compareCheckpoint: (note: string) => void;
  readonly deviceKey: X25519PrivateKey;
  readonly clients: Clients;
  readonly access: Pick<DeviceAccess, "judge">;
  /** The host keys of the device's SSH server, for whoever logs in as `login`. Throws as the SshServer's hostKeys does. */
  readonly hostKeys: { readonly current: (login: string) => Promise<readonly Uint8Array[]> };
  /** Whether pushed keys are accepted (-s). */
  readonly acceptsKeys: boolean;
  /** Certifies keys of sessions; undefined: this daemon does not (--session-keys). */
  readonly sessionKeys?: Pick<SessionKeys, "certify" | "authorityPath"> | undefined;
  /** The directory's key list that has the key of this ticket, if there is one. */
  readonly keyListFor: (ticket: Uint8Array) => Promise<VerifiedKeyList>;
  /** ms since 1970 UTC. */
  readonly now: () => number;
  /** Whether one more session may be begun. */
  readonly hasRoom: () => boolean;
  /** Called once for each granted session, ahead of the answer. */
  readonly begin: (session: GrantedSession) => void;
  /** Told what each request was answered: `granted`, or the code. */
  readonly answered?: ((result: string) => void) | undefined;
  readonly log: Log;
}

/** What the device grants to every session. */
export const CHANNEL_LIMITS: ChannelLimits = {
  earlyWindow: EARLY_WINDOW_BYTES,
  streamWindow: STREAM_WINDOW_BYTES,
  sessionWindow: SESSION_WINDOW_BYTES,
  streams: STREAMS,
};

/**
 * Answers session requests. Whoever the answer is for gets it sealed in msg2, refusals included; where msg1 cannot be
 * trusted to come from the client it names, only a code goes back, which the directory passes on.
 *
 * To answer, the device looks at its own memory and pins, and reaches for nothing on the machine but the host keys of its
 * SSH server, and those only when another server listens there than before (host-keys.ts) and for a client that is let in.
 * It writes nothing.
 */
export class Requests {
  readonly #options: RequestsOptions;
  readonly #answers = new AnswerCache<Promise<Answer>>();
  #unanswered = 0;
  /** Of clients that are not listed, in the second that began then (ms). */
  #unlisted = { since: 0, count: 0 };

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /** The answer to a request that came with `proved`; never rejects. */
  async answer(notify: Notify, proved: Pick<ProvedHeads, "demand">): Promise<Answer> {
    const { sid, client } = notify.prologue;
    const about = { sid: hex(sid), client: client.name, member: client.member };
    this.#unanswered++;
    try {
      if (this.#unanswered > REQUESTS_AT_ONCE) throw new UnavailableError("E_BUSY", "Too many requests at once.");
      return await this.#answer(notify, proved, about);
    } catch (error) {
      const code = codeOf(error);
      logError(this.#options.log, error, "request refused by a code alone", about);
      this.#options.answered?.(code);
      return { sid, code, labels: [LABEL] };
    } finally {
      this.#unanswered--;
    }
  }

  async #answer(notify: Notify, proved: Pick<ProvedHeads, "demand">, about: About): Promise<Answer> {
    const { suite, own, now } = this.#options;
    const { sid, client } = notify.prologue;
    const request = suite.sha256(notify.prologueBytes, notify.message1);
    const repeated = this.#answers.recall(sid, request);
    if (repeated !== undefined) return await repeated;

    const keyList = await this.#options.keyListFor(notify.ticket);
    const { ticket, newest } = verifyNotify(suite, { device: own.party, keyList, now: now() }, notify);
    const { name, member } = client;
    const claim: PeerClaim = { name, member, role: "client", statements: notify.client };
    const { standing, clientKey, expires, responder } = await this.#open(notify, claim, (statements) =>
      proved.demand([...statements, own.policyClaim, ...newest]),
    );
    const opened = { notify, claim, clientKey, expires, ticket, standing, responder, about };

    // A stranger's request is answered each time it comes: remembered ones would let anybody fill the cache.
    if (standing === "unlisted") return await this.#decide(opened);
    const meanwhile = this.#answers.recall(sid, request);
    if (meanwhile !== undefined) return await meanwhile;
    this.#answers.admit(client.name, now());
    const answer = this.#decide(opened);
    this.#answers.remember(sid, request, client.name, answer, ticket.expires);
    return await answer;
  }

  /** Opens msg1, which counts only from the member that the client's owner bound. */
  async #open(
    notify: Notify,
    claim: PeerClaim,
    demandNewest: (client: JudgedPeer["newest"]) => void,
  ): Promise<Pick<OpenedRequest, "standing" | "clientKey" | "expires" | "responder">> {
    const { suite, random, loadKem, clients, deviceKey, now } = this.#options;
    const { prologue, prologueBytes, message1 } = notify;
    const { binding, standing, newest } = await clients.judge(claim, now());
    demandNewest(newest);
    if (hex(binding.hash) !== hex(prologue.client.bindingHash)) {
      throw new PeerError("E_STATEMENT", "A request names another binding of its client than it brings.");
    }
    if (standing === "unlisted") this.#countUnlisted(now());
    const primitives = { suite, random, kem: await loadKem() };
    try {
      const request = { prologue, prologueBytes, message1, clientBinding: binding.statement };
      const { x25519: clientKey, expires } = binding.statement;
      return { standing, clientKey, expires, responder: new SessionResponder(primitives, deviceKey, request) };
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      throw new PeerError("E_DEVICE_UNREADABLE", "A request cannot be opened.", { cause: error });
    }
  }

  /** Whoever is not let in must not keep this device from those who are. @throws {UnavailableError} E_BUSY. */
  #countUnlisted(now: number): void {
    if (Math.abs(now - this.#unlisted.since) >= 1000) this.#unlisted = { since: now, count: 0 };
    if (++this.#unlisted.count <= UNLISTED_REQUESTS_PER_SECOND) return;
    throw new UnavailableError("E_BUSY", "Too many requests of clients that are not listed.");
  }

  async #decide(request: OpenedRequest): Promise<Answer> {
    const { suite, log } = this.#options;
    const { notify, claim, clientKey, expires, ticket, responder, about } = request;
    const verdict = await this.#verdict(request);
    const pushedKey = "hostKeys" in verdict ? this.#pushedKey(responder, notify.prologue) : undefined;
    const { sessionKeys } = this.#options;
    const certified =
      "hostKeys" in verdict ? await certificateFor(sessionKeys, responder.payload, notify.prologue) : undefined;
    const refusal = "hostKeys" in verdict ? this.#refusalForWantOfRoom() : verdict;
    const payload: AnswerPayload = {
      refusal,
      ticketHash: ticketHash(suite, notify.ticket),
      hostKeys: "hostKeys" in verdict && refusal === undefined ? verdict.hostKeys : [],
      keyTaken: refusal === undefined && (pushedKey ?? certified) !== undefined,
      certificate: refusal === undefined ? certified?.certificate : undefined,
      checkpoint: this.#options.checkpoint(),
      limits: CHANNEL_LIMITS,
    };
    const { message2, keys } = responder.answer(payload);
    this.#options.answered?.(refusal?.code ?? "granted");
    const { sid, service, login } = notify.prologue;
    if (refusal === undefined) {
      log.info({ ...about, service, login }, "request granted");
      const { legKey } = responder;
      const session = { sid, claim, service, login, clientKey, expires, ticket, ticketBytes: notify.ticket };
      this.#options.begin({ ...session, legKey, keys, pushedKey, certified });
    } else {
      log.warn({ ...about, ...refusal }, "request refused");
    }
    return { sid, message2 };
  }

  async #verdict({
    notify,
    standing,
    responder,
  }: OpenedRequest): Promise<Refusal | { readonly hostKeys: readonly Uint8Array[] }> {
    const { client, service, login } = notify.prologue;
    const access = await this.#options.access.judge(client, standing, { service, login });
    if (!access.allowed) return { code: access.code, reason: access.reason };
    try {
      this.#options.compareCheckpoint(responder.payload.checkpoint);
    } catch (error) {
      if (!(error instanceof SshnpError)) throw error;
      return { code: "E_LOG", reason: error.message };
    }
    if (service !== "ssh") return { hostKeys: [] };
    try {
      return { hostKeys: await this.#options.hostKeys.current(login) };
    } catch (error) {
      if (!(error instanceof SshnpError)) throw error;
      return refusalWithoutSsh(error, this.#options.log);
    }
  }

  /** The last check ahead of the answer, so that no other request can take the room in between. */
  #refusalForWantOfRoom(): Refusal | undefined {
    if (this.#options.hasRoom()) return undefined;
    return { code: "E_BUSY", reason: "it has as many sessions as it may have" };
  }

  /**
   * The key that the client pushes, if this daemon takes such keys. Whether there is such a login is not looked up here. Whoever
   * asks for something else than ssh has not been judged by the login.
   */
  #pushedKey(
    responder: SessionResponder,
    { service, login }: Pick<Notify["prologue"], "service" | "login">,
  ): GrantedSession["pushedKey"] {
    const { sshKey } = responder.payload;
    if (!this.#options.acceptsKeys || service !== "ssh" || sshKey?.use !== "push") return undefined;
    try {
      return { login, key: parsePublicKeyBlob(sshKey.blob) };
    } catch (error) {
      if (error instanceof SshnpError) return undefined; // a kind of key that is not taken, such as a certificate
      throw error;
    }
  }
}

interface About {
  readonly sid: string;
  readonly client: Name;
  readonly member: MemberName;
}

interface Refusal {
  readonly code: RefusalCode;
  readonly reason: string;
}

interface OpenedRequest {
  readonly notify: Notify;
  readonly claim: PeerClaim;
  readonly clientKey: X25519PublicKey;
  readonly expires: number | null;
  readonly ticket: Ticket;
  readonly standing: Standing;
  readonly responder: SessionResponder;
  readonly about: About;
}

/** What may be told of an error in one byte. What is wrong with this machine or this program, the log says. */
function codeOf(error: unknown): RefusalCode {
  if (!(error instanceof SshnpError)) return "E_DEVICE_UNREADABLE";
  if (error.code in REFUSAL_NUMBERS) return error.code as RefusalCode;
  return error instanceof SetupError ? "E_STORAGE" : "E_BUSY"; // such as a directory that cannot be reached
}
