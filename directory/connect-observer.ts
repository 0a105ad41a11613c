/** What one session request goes through at the directory, in this order; each begins where the one before ended. */
export const CONNECT_STAGES = [
  /** From the first byte of the POST to a message that is authentic and fresh. */
  "opened",
  /** Of a request whose device is there: statements, policy and proofs are read, and the ticket is signed. */
  "ticket",
  /** Until the device, or the broker or directory that has it, is told. */
  "asked",
  /** Until the device's answer is here. */
  "answered",
] as const;

export type ConnectStage = (typeof CONNECT_STAGES)[number];

/** Of what there was too much, so that somebody is turned away: ahead of any work, if nothing else is said here. */
export const TURNED_AWAY = [
  /** Requests and links of one address, 429. */
  "address rate",
  /** Connections of one address, closed unread. */
  "address connections",
  /** Connections of all, closed unread. */
  "connections",
  /** Connections that have proved nothing: the one that came first makes room. */
  "stranger",
  /** Messages that are worked at, 503 unread. */
  "messages",
  /** Hellos of devices that wait, 503 unread. */
  "hellos",
  /** Messages of one name, E_RATE: opened, and their sender looked up. */
  "name rate",
  /** What one address asks as a broker does and is answered with no, 429. */
  "broker question",
  /** What one device says by the broker, passed over: opened, and its sender perhaps looked up. */
  "broker rate",
  /** Answers that wait for their readers: one is cut. */
  "unread answer",
] as const;

export type TurnedAway = (typeof TURNED_AWAY)[number];

/** Told how session requests and links fare: never whose. */
export interface ConnectObserver {
  /** A request took so long, in ms, for this. */
  took(stage: ConnectStage, ms: number): void;
  /** A request was refused ahead of its session or failed there, or its asker is shown newer statements to ask again with (`binding`). */
  ended(result: string): void;
  /** A device was not let in. */
  linkRefused(code: string): void;
  /** Somebody was turned away for this. */
  turnedAway(why: TurnedAway): void;
}

/** Tells how long each stage took. Times are monotonic ms. */
export class ConnectWatch {
  readonly #observer: ConnectObserver;
  #since: number;

  constructor(observer: ConnectObserver, now: number) {
    this.#observer = observer;
    this.#since = now;
  }

  passed(stage: ConnectStage, now: number): void {
    this.#observer.took(stage, now - this.#since);
    this.#since = now;
  }
}
