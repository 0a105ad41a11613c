import { SshnpError } from "../../keys/errors.ts";
import type { ChannelStream } from "../../protocol/channel/stream-adapter.ts";
import { FORWARD_QUEUE } from "../../protocol/limits.ts";
import type { Session } from "../session.ts";
import type { LastingSession } from "./lasting-session.ts";
import { withSignal } from "./with-signal.ts";

/** A stream, and the session that it is in. */
export interface OpenedStream {
  readonly session: Session;
  readonly stream: ChannelStream;
}

/** Too many wait for a stream already. */
export class QueueFull extends Error {
  override readonly name = "QueueFull";
}

/** Opens streams in whatever session there is; where it has as many as it may have, they wait, first come, first served. */
export class StreamQueue {
  readonly #sessions: LastingSession;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(sessions: LastingSession) {
    this.#sessions = sessions;
  }

  /** The device has not answered yet, but the stream may be written. @throws {QueueFull}; what {@link LastingSession.current} does. */
  async open(service: string, signal: AbortSignal): Promise<OpenedStream> {
    if (this.#waiting >= FORWARD_QUEUE) throw new QueueFull();
    const before = this.#last;
    let done = (): void => {};
    this.#last = new Promise((resolve) => (done = resolve));
    this.#waiting++;
    try {
      await withSignal(before, signal);
      return await this.#open(service, signal);
    } finally {
      this.#waiting--;
      void before.finally(done);
    }
  }

  async #open(service: string, signal: AbortSignal): Promise<OpenedStream> {
    for (;;) {
      const session = await this.#sessions.current(service, signal);
      try {
        return { session, stream: session.open(service) };
      } catch (error) {
        if (!(error instanceof SshnpError)) throw error;
        // Else it is over, and the next one is waited for.
        const change = error.code === "E_BUSY" ? session.room() : session.ended;
        await withSignal<unknown>(change, signal);
      }
    }
  }
}
