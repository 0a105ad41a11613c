import type { Logger } from "pino";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { PeerError } from "../keys/errors.ts";
import type { MemberName, Name } from "../keys/names.ts";
import type { X25519PublicKey } from "../keys/x25519.ts";
import { ENROLMENT_SWEEP_MS, ENROLMENTS_AT_ONCE } from "../protocol/limits.ts";
import { encodeLogProof } from "../protocol/log/proof.ts";
import {
  parseEnrolmentDenial,
  parseEnrolmentRequest,
  parseEnrolmentsQuestion,
  parseOwnStatementsQuestion,
  parsePutPassword,
} from "../protocol/messages/enrolment.ts";
import { REQUEST } from "../protocol/messages/types.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import type { OpenedMessage } from "../protocol/sealed-message.ts";
import { bindingSubject } from "../protocol/statements.ts";
import { endOf, Enrolments } from "./accounts/enrolments.ts";
import type { Audit } from "./audit.ts";
import type { AuditEvent } from "./audit/events.ts";
import type { Clock } from "./clock.ts";
import type { Freshness } from "./freshness.ts";
import type { Keyring } from "./keyring.ts";
import type { Log } from "./log/log.ts";
import type { TokenBucket } from "./rate-limit.ts";
import { proved } from "./proved.ts";
import { mayRead } from "./reading.ts";
import type { Replicas } from "./replicas/replicas.ts";
import type { ResponseStream } from "./response-stream.ts";
import { memberStanding } from "./standing.ts";
import type { Store } from "./store.ts";
import { logFailure } from "./log-failure.ts";

interface Services {
  readonly suite: CipherSuite;
  readonly clock: Clock;
  readonly store: Store;
  readonly keyring: Keyring;
  readonly freshness: Freshness;
  readonly audit: Audit;
  readonly statementLog: Pick<Log, "proof" | "proves">;
  readonly replicas: Replicas | undefined;
  readonly log: Logger;
}

/** Who is to be shown what stands about it. */
interface Asking {
  readonly name: Name;
  readonly member: MemberName;
  readonly sender: X25519PublicKey;
  readonly checkpointSize: number;
}

interface Waiting {
  readonly asking: Asking;
  readonly stream: ResponseStream;
  readonly until: number;
}

/** What enrolments ask for, each answered on its stream; one that waits is answered when its owner has decided. */
export class EnrolmentRequests {
  readonly #services: Services;
  readonly #enrolments: Enrolments;
  /** By subject: one answer waits for each enrolment that is pending, the newest. */
  readonly #waiting = new Map<string, Waiting>();
  /** When what is past its time was last forgotten, ms since 1970 UTC. */
  #swept = 0;

  constructor(services: Services) {
    this.#services = services;
    const { suite, store, keyring, replicas } = services;
    this.#enrolments = new Enrolments(suite, store, keyring.fingerprint, (subject) =>
      replicas?.saidWithTurn([subject]),
    );
  }

  /**
   * `takeTry`: a try at a secret from the sender's address, or undefined when there is none left and it was told so.
   * @throws {PeerError} on what does not parse, {UnavailableError} E_STORAGE.
   */
  async handle(message: OpenedMessage, stream: ResponseStream, takeTry: () => TokenBucket | undefined): Promise<void> {
    switch (message.type) {
      case REQUEST.putPassword:
        return await this.#putPassword(message, stream);
      case REQUEST.enrol:
        return await this.#enrol(message, stream, takeTry);
      case REQUEST.ownStatements:
        return await this.#ownStatements(message, stream);
      case REQUEST.readEnrolments:
        return await this.#read(message, stream);
      case REQUEST.denyEnrolment:
        return await this.#deny(message, stream);
      default:
        throw new PeerError("E_PROTOCOL", "a message of an unknown type");
    }
  }

  /** Answers those who wait to become members that something was said about; one for whom that fails may ask again. */
  async changed(subjects: readonly string[]): Promise<void> {
    for (const subject of subjects) {
      const waiting = this.#waiting.get(subject);
      if (waiting === undefined) continue;
      this.#waiting.delete(subject);
      try {
        await this.#showStatements(waiting.asking, waiting.stream);
      } catch (error) {
        logFailure(this.#services.log, error, "who waits to become a member was not answered");
        refuse(waiting.stream, "E_STORAGE");
      }
    }
  }

  /** Answers those who wait and about whom something was said, unheard. @throws {UnavailableError} E_STORAGE. */
  async lookAgain(): Promise<void> {
    for (const [subject, { asking }] of [...this.#waiting]) {
      if ((await this.#services.store.enrolment(asking)) === undefined) await this.changed([subject]);
    }
  }

  /** Forgets what is past its time. @throws {UnavailableError} E_STORAGE. */
  async sweep(): Promise<void> {
    const now = this.#services.clock.now();
    for (const [subject, { stream, until }] of this.#waiting) {
      if (now < until) continue;
      this.#waiting.delete(subject);
      refuse(stream, "E_TOKEN");
    }
    if (now - this.#swept < ENROLMENT_SWEEP_MS) return;
    this.#swept = now;
    await this.#enrolments.sweep(now);
  }

  async #putPassword({ body }: OpenedMessage, stream: ResponseStream): Promise<void> {
    const answer = await this.#enrolments.putPassword(parsePutPassword(body), this.#services.clock.now());
    if ("refused" in answer) return refuse(stream, answer.refused);
    if (answer.isNew) this.#note("password", "stored", answer);
    stream.end({ type: "done" });
  }

  async #enrol(
    { body, sender }: OpenedMessage,
    stream: ResponseStream,
    takeTry: () => TokenBucket | undefined,
  ): Promise<void> {
    const { freshness, clock } = this.#services;
    const request = parseEnrolmentRequest(body);
    const tries = takeTry();
    if (tries === undefined) return;
    if (!(await freshness.isNonce(request.nonce, clock.now()))) return refuse(stream, "E_CLOCK");
    const answer = await this.#enrolments.enrol(request, sender, clock.now());
    const isRight = answer === "bound" || !("refused" in answer) || answer.refused !== "E_TOKEN";
    if (isRight) tries.giveBack();
    if (answer === "bound") return await this.#showStatements({ ...request, sender }, stream);
    if ("refused" in answer) {
      if (isRight) this.#note("enrolment", answer.refused, request);
      return refuse(stream, answer.refused);
    }
    const { pending, isNew } = answer;
    if (isNew) this.#note("enrolment", "pending", request);
    const frame = { type: "pending", requested: pending.requested, until: endOf(pending) } as const;
    if (!request.isWaiting) return stream.end(frame);
    stream.send(frame);
    await this.#wait({ ...request, sender }, stream, frame.until);
  }

  async #wait(asking: Asking, stream: ResponseStream, until: number): Promise<void> {
    const subject = bindingSubject(asking);
    const before = this.#waiting.get(subject);
    if (before !== undefined) refuse(before.stream, "E_INTERRUPTED");
    const waiting = { asking, stream, until };
    this.#waiting.set(subject, waiting);
    stream.onClose(() => {
      if (this.#waiting.get(subject) === waiting) this.#waiting.delete(subject);
    });
    // The owner may have decided between the answer and the wait.
    if ((await this.#services.store.enrolment(asking)) !== undefined) return;
    if ((await this.#services.store.member(asking)) === undefined) refuse(stream, "E_NOT_AUTHORIZED");
    else await this.changed([subject]);
  }

  async #ownStatements({ body, sender }: OpenedMessage, stream: ResponseStream): Promise<void> {
    const { store, clock } = this.#services;
    const question = parseOwnStatementsQuestion(body);
    if ((await store.keyHolder(sender)) !== bindingSubject(question)) {
      const isPending = await this.#enrolments.isPending(question, sender, clock.now());
      return refuse(stream, isPending ? "E_PENDING" : "E_NOT_AUTHORIZED");
    }
    await this.#showStatements({ ...question, sender }, stream);
  }

  async #read({ body, sender }: OpenedMessage, stream: ResponseStream): Promise<void> {
    const { suite, store, statementLog, keyring, clock } = this.#services;
    const question = parseEnrolmentsQuestion(body);
    const services = { suite, store, statementLog, fingerprint: keyring.fingerprint };
    if (!(await mayRead(services, question, sender))) return refuse(stream, "E_NOT_AUTHORIZED");
    const entries = await this.#enrolments.pending(question.name, clock.now());
    for (let i = 0; i < entries.length; i += ENROLMENTS_AT_ONCE) {
      stream.send({ type: "enrolments", entries: entries.slice(i, i + ENROLMENTS_AT_ONCE) });
      await stream.drained();
    }
    stream.end({ type: "done" });
  }

  async #deny({ body }: OpenedMessage, stream: ResponseStream): Promise<void> {
    const denial = parseEnrolmentDenial(body);
    const answer = await this.#enrolments.deny(denial, this.#services.clock.now());
    if ("refused" in answer) return refuse(stream, answer.refused);
    if (answer.isNew) {
      this.#note("enrolment", "denied", denial);
      const waiting = this.#waiting.get(bindingSubject(denial));
      if (waiting !== undefined) refuse(waiting.stream, "E_NOT_AUTHORIZED");
    }
    stream.end({ type: "done" });
  }

  /** The newest statements on a member, with their proof; what a member may see of itself. */
  async #showStatements(asking: Asking, stream: ResponseStream): Promise<void> {
    const shown = await proved(
      this.#services,
      () => asking.checkpointSize,
      async () => {
        const standing = await memberStanding(this.#services.store, asking);
        if (standing === undefined) return "E_NOT_AUTHORIZED";
        return standing.record.x25519.equals(asking.sender) ? standing : "E_MEMBER_TAKEN";
      },
    );
    if (typeof shown === "string") return refuse(stream, shown);
    const { statements } = shown.said;
    stream.end({ type: "binding", of: "client", statements, proof: encodeLogProof(shown.proof) });
  }

  #note(
    event: AuditEvent,
    verdict: string,
    { name, member }: { readonly name: Name; readonly member?: MemberName },
  ): void {
    const { audit, log } = this.#services;
    const about = { verdict, name, ...(member === undefined ? {} : { member }) };
    audit.write({ event, ...about });
    log.info(about, event);
  }
}

function refuse(stream: ResponseStream, code: RefusalCode): void {
  stream.end({ type: "refused", code, detail: 0 });
}
