import type { Logger } from "pino";
import { encodeLogProof } from "../protocol/log/proof.ts";
import { isExpired, subjectOf } from "../protocol/statement-fields.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { PeerError } from "../keys/errors.ts";
import { equalBytes, utf8 } from "../keys/bytes.ts";
import type { Name } from "../keys/names.ts";
import type { SignedText } from "../keys/signed-text.ts";
import {
  CLIENT_REQUESTS_BURST,
  CLIENT_REQUESTS_PER_SECOND,
  MESSAGE1_BYTES,
  TOLD_AGAIN,
  TOLD_AGAIN_MS,
} from "../protocol/limits.ts";
import {
  parseActivation,
  parseActivationStart,
  parseRendezvousActivationStart,
} from "../protocol/messages/activation.ts";
import { parsePutStatements } from "../protocol/messages/put-statements.ts";
import { parseSessionRequest, parseWithdraw, type SessionRequest } from "../protocol/messages/session-request.ts";
import { REQUEST } from "../protocol/messages/types.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import type { OpenedMessage } from "../protocol/sealed-message.ts";
import type { AccountAnswer, Accounts } from "./accounts/accounts.ts";
import type { Audit } from "./audit.ts";
import type { AuditEvent } from "./audit/events.ts";
import type { Clock } from "./clock.ts";
import type { ConnectObserver } from "./connect-observer.ts";
import { DeviceLists } from "./device-lists.ts";
import { EnrolmentRequests } from "./enrolment-requests.ts";
import type { Freshness } from "./freshness.ts";
import type { Keyring } from "./keyring.ts";
import type { LinkServer } from "./link-server.ts";
import type { Log } from "./log/log.ts";
import { maySee, permits, type Policies } from "./policies.ts";
import type { Presence } from "./presence.ts";
import { proved } from "./proved.ts";
import { StatementQuestions } from "./reading.ts";
import { NameLimiter, type TokenBucket } from "./rate-limit.ts";
import type { RendezvousRegistry } from "./rendezvous-registry.ts";
import { RendezvousRequests } from "./rendezvous-requests.ts";
import type { Replicas } from "./replicas/replicas.ts";
import type { ResponseStream } from "./response-stream.ts";
import { SecretTries } from "./secret-tries.ts";
import type { Sessions } from "./sessions.ts";
import { isRevokedWithout, type MemberStanding, memberStanding } from "./standing.ts";
import type { Store } from "./store.ts";
import { tellRefused } from "./tell-refused.ts";

interface Services {
  readonly suite: CipherSuite;
  readonly clock: Clock;
  readonly store: Store;
  readonly keyring: Keyring;
  readonly freshness: Freshness;
  readonly accounts: Accounts;
  readonly policies: Policies;
  readonly presence: Presence;
  readonly registry: RendezvousRegistry;
  readonly sessions: Sessions;
  readonly links: LinkServer;
  readonly replicas: Replicas | undefined;
  readonly audit: Audit;
  readonly observer?: ConnectObserver | undefined;
  readonly statementLog: Pick<Log, "proof" | "proves">;
  readonly log: Logger;
}

/** What the messages that come by POST ask for, each answered on its stream. */
export class Requests {
  readonly #services: Services;
  readonly #byClient = new NameLimiter({ perSecond: CLIENT_REQUESTS_PER_SECOND, burst: CLIENT_REQUESTS_BURST });
  readonly #enrolments: EnrolmentRequests;
  readonly #questions: StatementQuestions;
  readonly #deviceLists: DeviceLists;
  readonly #toldAgain = new NameLimiter({ perSecond: 1000 / TOLD_AGAIN_MS, burst: TOLD_AGAIN });
  readonly #secretTries = new SecretTries();
  readonly #rendezvous: RendezvousRequests;

  constructor(services: Services) {
    this.#services = services;
    this.#enrolments = new EnrolmentRequests(services);
    this.#deviceLists = new DeviceLists(services);
    this.#rendezvous = new RendezvousRequests({ ...services, secretTries: this.#secretTries });
    this.#questions = new StatementQuestions({ ...services, fingerprint: services.keyring.fingerprint });
  }

  /** Answers one message, which is authentic and fresh. @throws {PeerError} on what does not parse, {UnavailableError} E_STORAGE. */
  async handle(message: OpenedMessage, stream: ResponseStream, address: string): Promise<void> {
    switch (message.type) {
      case REQUEST.session:
        return await this.#session(message, stream);
      case REQUEST.withdraw:
        return await this.#withdraw(message, stream);
      case REQUEST.activationStart:
        parseActivationStart(message.body); // whether there is such a name is not told
        return this.#challenge(stream);
      case REQUEST.activate:
        return await this.#activate(message, stream, address);
      case REQUEST.putStatements:
        return await this.#putStatements(message, stream);
      case REQUEST.readStatements:
        return await this.#questions.answer(message, stream);
      case REQUEST.listDevices:
      case REQUEST.listRendezvous:
        return await this.#deviceLists.answer(message, stream);
      case REQUEST.rendezvousActivationStart:
        parseRendezvousActivationStart(message.body);
        return this.#challenge(stream);
      case REQUEST.rendezvousActivate:
        return await this.#rendezvous.activate(message, stream, address);
      case REQUEST.rendezvousReport:
        return await this.#rendezvous.report(message, stream);
      default:
        return await this.#enrolments.handle(message, stream, () =>
          this.#secretTries.take(address, stream, this.#services.clock.monotonic()),
        );
    }
  }

  /** Forgets what is past its time: addresses, names, enrolments. @throws {UnavailableError} E_STORAGE. */
  async sweep(): Promise<void> {
    const limited = [this.#secretTries, this.#byClient, this.#toldAgain, this.#deviceLists];
    for (const one of limited) one.sweep(this.#services.clock.monotonic());
    this.#services.accounts.sweep();
    await this.#enrolments.sweep();
  }

  async #session({ body, sender }: OpenedMessage, stream: ResponseStream): Promise<void> {
    const { suite, store, policies, presence, sessions, clock } = this.#services;
    const request = parseSessionRequest(body);
    const { client, device } = request.prologue;
    if (request.message1.length > MESSAGE1_BYTES) throw new PeerError("E_PROTOCOL", "a request is too long");
    const refuse = (code: RefusalCode, detail = 0): void => {
      this.#services.observer?.ended(code);
      stream.end({ type: "refused", code, detail });
    };
    const asking = await memberStanding(store, client);
    if (asking?.record.role !== "client" || !asking.record.x25519.equals(sender)) return refuse("E_NOT_AUTHORIZED");
    if (asking.isRevoked) return await this.#show("client", request, stream);
    if (isExpired(asking.record, clock.now())) return refuse("E_STATEMENT");
    const isBoundBy = ({ record }: MemberStanding, hash: Uint8Array): boolean =>
      equalBytes(suite.sha256(utf8(record.binding.text)), hash);
    if (!isBoundBy(asking, client.bindingHash)) return await this.#show("client", request, stream);
    // Alike for a device that is not there and one that this client may not see.
    const [asked, policy] = await Promise.all([memberStanding(store, device), policies.of(device.name)]);
    const isSeen = maySee(policy, request.prologue);
    if (asked?.record.role !== "device" || !isSeen) return refuse("E_UNKNOWN_NAME");
    if (asked.isRevoked || request.message1.length === 0 || !isBoundBy(asked, device.bindingHash)) {
      return await this.#show("device", request, stream);
    }
    if (!this.#byClient.take(client.name, clock.monotonic())) return refuse("E_RATE", 1000);
    if (!permits(policy, request.prologue, clock.now())) return sessions.refuse({ request }, stream, "E_POLICY");
    const [found, lastSeen] = await Promise.all([presence.find(device), store.lastSeen(device)]);
    sessions.request({ request, sender, lastSeen, found }, stream);
  }

  /**
   * Answers with the newest statements on one of the two, to be asked again with. A revocation speaks for itself; who was made
   * by a token that is revoked has none of his own.
   */
  async #show(of: "client" | "device", request: SessionRequest, stream: ResponseStream): Promise<void> {
    const refusal = of === "client" ? "E_REVOKED" : "E_UNKNOWN_NAME";
    const shown = await proved(
      this.#services,
      () => request.checkpointSize,
      async () => {
        const standing = await memberStanding(this.#services.store, request.prologue[of]);
        if (standing === undefined) return refusal;
        return isRevokedWithout(standing) ? refusal : standing;
      },
    );
    this.#services.observer?.ended(typeof shown === "string" ? shown : "binding");
    if (typeof shown === "string") return stream.end({ type: "refused", code: shown, detail: 0 });
    const { statements } = shown.said;
    stream.end({ type: "binding", of, statements, proof: encodeLogProof(shown.proof) });
  }

  async #withdraw({ body, sender }: OpenedMessage, stream: ResponseStream): Promise<void> {
    const { sessions, replicas } = this.#services;
    const sid = parseWithdraw(body);
    if (!sessions.withdraw(sid, sender)) await replicas?.withdraw(sid, sender);
    stream.end({ type: "done" });
  }

  /** Answers those who wait for what was stated at another directory. */
  async said(subjects: readonly string[]): Promise<void> {
    await this.#enrolments.changed(subjects);
  }

  /** What was stated at another directory may not have been heard. */
  async missed(): Promise<void> {
    await this.#enrolments.lookAgain();
  }

  /** Any member of a name can repeat what stands about it, and all devices of the name would be told. */
  #mayTellAgain(subjects: readonly string[]): boolean {
    const now = this.#services.clock.monotonic();
    const names = new Set(subjects.map((subject) => subject.split(/[/:]/, 1)[0] as Name));
    return [...names].every((name) => this.#toldAgain.take(name, now));
  }

  #challenge(stream: ResponseStream): void {
    const now = this.#services.clock.now();
    stream.end({ type: "activation", nonce: this.#services.freshness.nonce(now), time: now });
  }

  async #activate({ body, sender }: OpenedMessage, stream: ResponseStream, address: string): Promise<void> {
    const { accounts, freshness, clock, links } = this.#services;
    const activation = parseActivation(body);
    const tries = this.#secretTries.take(address, stream, this.#services.clock.monotonic());
    if (tries === undefined) return;
    if (!(await freshness.isNonce(activation.nonce, clock.now())))
      return stream.end({ type: "refused", code: "E_CLOCK", detail: 0 });
    const answer = await accounts.activate(activation, sender, clock.now());
    if ("subjects" in answer && answer.isNew) await links.changedHere(answer.subjects);
    const statements = [activation.name, activation.binding];
    await this.#settle("activation", answer, stream, { statements, since: 0, tries });
  }

  async #putStatements({ body, sender }: OpenedMessage, stream: ResponseStream): Promise<void> {
    const { accounts, clock, links } = this.#services;
    const { statements, checkpointSize } = parsePutStatements(body);
    const answer = await accounts.put(statements, sender, clock.now());
    // Whoever repeats them may have got no answer, and then those whom they concern were perhaps not told either.
    if ("subjects" in answer && (answer.isNew || this.#mayTellAgain(answer.subjects))) {
      if (answer.isNew) await links.changedHere(answer.subjects);
      else await links.changed(answer.subjects);
      await this.#enrolments.changed(answer.subjects);
    }
    await this.#settle("statements", answer, stream, { statements, since: checkpointSize });
  }

  async #settle(
    event: AuditEvent,
    answer: AccountAnswer,
    stream: ResponseStream,
    {
      statements,
      since,
      tries,
    }: { readonly statements: readonly SignedText[]; readonly since: number; readonly tries?: TokenBucket },
  ): Promise<void> {
    const { log } = this.#services;
    if ("refused" in answer) return tellRefused(this.#services, event, stream, answer, tries);
    tries?.giveBack();
    const { subjects, isNew } = answer; // what was stored is in the audit since it is in the log
    log[isNew ? "info" : "debug"]({ subjects, isNew }, event);
    const texts = new Map(statements.map((one) => [subjectOf(one), one]));
    const newest = subjects.map((subject) => ({ subject, newest: texts.get(subject) }));
    const made = await proved(
      this.#services,
      () => since,
      () => Promise.resolve({ newest }),
    );
    if (typeof made === "string") return tellRefused(this.#services, event, stream, { refused: made });
    stream.end({ type: "logged", proof: encodeLogProof(made.proof) });
  }
}
