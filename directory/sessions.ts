import type { Logger } from "pino";
import { equalBytes, hex } from "../keys/bytes.ts";
import type { X25519PublicKey } from "../keys/x25519.ts";
import { DEVICE_ANSWER_MS, DEVICE_MOVES_MS, MESSAGE2_BYTES, SESSION_MEMORY_MS } from "../protocol/limits.ts";
import type { Frame } from "../protocol/messages/response-frames.ts";
import type { Answer } from "../protocol/messages/session-request.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { Audit } from "./audit.ts";
import { type ConnectObserver, ConnectWatch } from "./connect-observer.ts";
import { LooksForAll } from "./looks-for-all.ts";
import { type Offer, Offers, type OfferServices } from "./offers.ts";
import type { Party, Presence, PresentDevice } from "./presence.ts";
import type { Replicas } from "./replicas/replicas.ts";
import type { ResponseStream } from "./response-stream.ts";
import { auditSession } from "./session-audit.ts";
import type { AskedPhase, CheckedRequest, Phase, Session } from "./session-phase.ts";
import { hasWaited, waitingPhase } from "./session-phase.ts";
import { SessionTable } from "./session-table.ts";

interface Services extends OfferServices {
  readonly presence: Presence;
  readonly audit: Audit;
  readonly replicas: Pick<Replicas, "taken"> | undefined;
  readonly failed: (error: unknown) => void;
  readonly observer?: ConnectObserver | undefined;
  readonly log: Logger;
}

/**
 * Requests on their way to devices, and answers on their way back. A request waits for its device if the client asked for
 * that, is handed to the device's link with a ticket, and is answered by that device alone. All of it is forgotten after a
 * while: what makes a session safe is between its two ends.
 */
export class Sessions {
  readonly #services: Services;
  readonly #offers: Offers;
  readonly #sessions = new SessionTable<Session>();
  readonly #looks = new LooksForAll<Session>((session) => this.#lookAgain(session));

  constructor(services: Services) {
    this.#services = services;
    this.#offers = new Offers(services);
  }

  /** Takes a request whose answer goes to `stream`: a new one, or one that was posted before. */
  request(checked: CheckedRequest, stream: ResponseStream): void {
    const { prologue, prologueBytes, message1 } = checked.request;
    const { suite, presence } = this.#services;
    const sid = hex(prologue.sid);
    const requestHash = suite.sha256(prologueBytes, message1);
    const known = this.#sessions.get(sid);
    if (known !== undefined) {
      if (equalBytes(known.requestHash, requestHash)) this.#repeat(known, stream);
      else this.refuse(checked, stream, "E_PROTOCOL");
      return;
    }
    if (!this.#sessions.hasRoomFor(prologue)) return this.refuse(checked, stream, "E_BUSY");
    const session: Session = {
      ...checked,
      sid,
      requestHash,
      stream,
      phase: waitingPhase(checked, this.#services.clock.monotonic()),
    };
    if (checked.request.waitSeconds > 0) this.#services.replicas?.taken(prologue.sid, checked.sender);
    const link = presence.get(prologue.device) ?? checked.found;
    if (link !== undefined) {
      this.#sessions.add(session);
      this.#handOver(session, link);
    } else if (checked.request.waitSeconds > 0) {
      this.#replaceOlder(session);
      this.#sessions.add(session);
      this.#attach(session, stream);
      this.#audit(session, "waiting");
      void this.#lookAgain(session);
    } else if (checked.lastSeen === undefined) {
      this.refuse(checked, stream, "E_NEVER_SEEN");
    } else {
      this.refuse(checked, stream, "E_OFFLINE", checked.lastSeen);
    }
  }

  /** Ends a request at once, with this verdict. */
  refuse(checked: Pick<CheckedRequest, "request">, stream: ResponseStream, code: RefusalCode, detail = 0): void {
    stream.end({ type: "refused", code, detail });
    this.#audit(checked, code);
  }

  /** Ends a request of this sender's; anybody else's stays as it is. False when there is none. */
  withdraw(sid: Uint8Array, sender: X25519PublicKey): boolean {
    const session = this.#sessions.get(hex(sid));
    if (session === undefined) return false;
    if (session.sender.equals(sender) && session.phase.kind !== "answered") this.#end(session, "E_INTERRUPTED");
    return true;
  }

  /** The same request waits at another directory now. */
  takenElsewhere(sid: Uint8Array, sender: X25519PublicKey): void {
    const session = this.#sessions.get(hex(sid));
    if (session?.phase.kind === "waiting" && session.sender.equals(sender)) this.#end(session, "E_INTERRUPTED");
  }

  /** The device could not be told of a request. */
  unwoken(sid: Uint8Array): void {
    const session = this.#sessions.get(hex(sid));
    if (session?.phase.kind === "asked") this.#end(session, "E_BUSY");
  }

  /** Whether a device is asked this, and has not answered. */
  isAsked(sid: Uint8Array): boolean {
    return this.#sessions.get(hex(sid))?.phase.kind === "asked";
  }

  /** Whether there is any for this device. */
  hasFor(device: Party): boolean {
    return this.#sessions.hasFor(device);
  }

  /**
   * The device has no link where it was asked: it is looked for once more, and if it is nowhere it may be on its way to another
   * directory, which is waited for, though not as long as for the answer of one that is there. `at`: where it was asked, if known.
   */
  async gone(sid: Uint8Array, at?: PresentDevice): Promise<void> {
    const session = this.#sessions.get(hex(sid));
    if (session?.phase.kind !== "asked") return;
    const { phase } = session;
    if (phase.isGone === true && phase.device !== at) return;
    const until = Math.min(phase.until, this.#services.clock.monotonic() + DEVICE_MOVES_MS);
    session.phase = { ...phase, until, isGone: true };
    if (phase.isGone === true) return;
    const found = await this.#services.presence.find(session.request.prologue.device);
    if (found === undefined || session.phase.kind !== "asked") return;
    session.phase = { ...session.phase, until: phase.until, device: found };
    await this.#notify(session, phase.offer, found);
  }

  /** A device's link is up: hands it what waited for it, and once more what it was asked and has not answered. */
  deviceIsBack(device: Party, link: PresentDevice): void {
    for (const session of this.#sessions.of(device)) {
      if (session.phase.kind === "waiting") this.#handOver(session, link);
      else if (session.phase.kind === "asked") this.#askAgain(session, session.phase, link);
    }
  }

  /** Looks for devices that are waited for, since there may be a way to them that there was not. */
  lookForWaiting(): void {
    this.#looks.begin([...this.#sessions.all()].filter(({ phase }) => phase.kind === "waiting"));
  }

  /** Passes on a device's answer to what it was asked; false when it was not asked that, or answers at too great length. */
  answer(device: Party, answer: Answer): boolean {
    const session = this.#sessions.get(hex(answer.sid));
    if (session?.phase.kind !== "asked") return false;
    if (bindingSubject(session.request.prologue.device) !== bindingSubject(device)) return false;
    if ("message2" in answer && answer.message2.length > MESSAGE2_BYTES) return false;
    const frame: Frame =
      "message2" in answer
        ? { type: "answer", message2: answer.message2 }
        : { type: "deviceCode", code: answer.code, labels: answer.labels.join(",") };
    const { offer, watch } = session.phase;
    watch?.passed("answered", this.#services.clock.monotonic());
    const until = this.#services.clock.monotonic() + SESSION_MEMORY_MS;
    session.phase = { kind: "answered", offer, answer: frame, until };
    const { stream } = session;
    void offer.then(() => stream?.end(frame)); // behind the ticket
    session.stream = undefined; // it holds a whole connection, and the session is remembered for long
    this.#audit(session, "message2" in answer ? "answered" : answer.code);
    return true;
  }

  /** Ends what has waited too long, and forgets what is over. */
  sweep(): void {
    const now = this.#services.clock.monotonic();
    for (const session of this.#sessions.all()) {
      const { phase } = session;
      if (phase.kind === "waiting") {
        if (hasWaited(phase, now)) this.#end(session, "E_WAIT_EXPIRED");
      } else if (now >= phase.until) {
        if (phase.kind === "asked") this.#unanswered(session, phase.device);
        else this.#sessions.remove(session);
      }
    }
  }

  #unanswered(session: Session, device: PresentDevice): void {
    device.unanswered?.();
    const { phase, lastSeen } = session;
    const isGone = phase.kind === "asked" && phase.isGone === true;
    const asked = this.#services.clock.now() - (device.answerMs ?? DEVICE_ANSWER_MS);
    this.#end(session, "E_OFFLINE", isGone ? (lastSeen ?? asked) : asked);
  }

  /** The device may have come somewhere else after it was looked for, and before anybody was told that it is waited for. */
  async #lookAgain(session: Session): Promise<void> {
    try {
      const found = await this.#services.presence.find(session.request.prologue.device);
      if (found !== undefined && session.phase.kind === "waiting") this.#handOver(session, found);
    } catch (error) {
      this.#services.failed(error);
    }
  }

  /** Hands a request to its device, once: from here on it is asked, whatever it takes to put the question together. */
  #handOver(session: Session, link: PresentDevice): void {
    const { clock, observer } = this.#services;
    const watch = observer && new ConnectWatch(observer, clock.monotonic());
    const offer = this.#offers.make(session, link.distances).then(
      (made) => {
        watch?.passed("ticket", clock.monotonic());
        if (typeof made !== "string") return made;
        this.#end(session, made);
        return undefined;
      },
      (error: unknown) => {
        this.#services.failed(error);
        this.#end(session, "E_STORAGE");
        return undefined;
      },
    );
    const until = clock.monotonic() + (link.answerMs ?? DEVICE_ANSWER_MS);
    session.phase = { kind: "asked", offer, device: link, until, watch };
    void this.#sendTicket(session, session.stream);
    void this.#notify(session, offer, link).then((isAsked) => isAsked && this.#asked(session, watch));
  }

  #asked(session: Session, watch: ConnectWatch | undefined): void {
    if (session.phase.kind === "asked") watch?.passed("asked", this.#services.clock.monotonic());
    this.#audit(session, "asked");
  }

  #askAgain(session: Session, phase: AskedPhase, link: PresentDevice): void {
    if (phase.isGone === true) {
      const until = this.#services.clock.monotonic() + (link.answerMs ?? DEVICE_ANSWER_MS);
      session.phase = { ...phase, device: link, until, isGone: false };
    }
    void this.#notify(session, phase.offer, link);
  }

  async #notify(session: Session, offer: Promise<Offer | undefined>, link: PresentDevice): Promise<boolean> {
    const made = await offer;
    if (made === undefined || session.phase.kind !== "asked") return false;
    if (await link.notify(made.notify)) return true;
    if (this.#sessions.get(session.sid) === session) this.#end(session, "E_BUSY");
    return false;
  }

  async #sendTicket(session: Session, stream: ResponseStream | undefined): Promise<void> {
    if (session.phase.kind === "waiting") return;
    const made = await session.phase.offer;
    if (made !== undefined) stream?.send(made.ticket);
  }

  /** The same request came once more: its newest POST is the one that gets the answers, those from before included. */
  #repeat(session: Session, stream: ResponseStream): void {
    const older = session.stream;
    if (session.phase.kind === "answered") {
      const { answer } = session.phase;
      void this.#sendTicket(session, stream).then(() => stream.end(answer));
    } else {
      this.#attach(session, stream);
      void this.#sendTicket(session, stream);
    }
    const interrupted = { type: "refused", code: "E_INTERRUPTED", detail: 0 } as const;
    void this.#sendTicket(session, undefined).then(() => older?.end(interrupted)); // behind the ticket of its own
  }

  /** Makes `stream` the one that a request's answers go to; while it waits, its end is noticed. */
  #attach(session: Session, stream: ResponseStream): void {
    session.stream = stream;
    if (session.phase.kind !== "waiting") return;
    session.phase = { ...session.phase, unheardSince: undefined };
    stream.send({ type: "waiting", lastSeen: session.lastSeen ?? 0 });
    stream.onClose(() => {
      if (session.stream !== stream || session.phase.kind !== "waiting") return;
      session.phase = { ...session.phase, unheardSince: this.#services.clock.monotonic() };
    });
  }

  /** One request waits for each client and device: the newest. */
  #replaceOlder({ request: { prologue } }: Session): void {
    for (const other of this.#sessions.waitingLike(prologue)) this.#end(other, "E_INTERRUPTED");
  }

  #end(session: Session, code: RefusalCode, detail = 0): void {
    this.#sessions.remove(session);
    if (session.phase.kind === "answered") return;
    session.stream?.end({ type: "refused", code, detail });
    this.#audit(session, code);
  }

  /** How many there are of each phase. */
  phases(): Readonly<Record<Phase["kind"], number>> {
    return this.#sessions.phases();
  }

  #audit({ request: { prologue } }: Pick<CheckedRequest, "request">, verdict: string): void {
    auditSession(this.#services, prologue, verdict);
  }
}
