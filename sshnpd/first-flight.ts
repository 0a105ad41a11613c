import type { Socket } from "node:net";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import { FIRST_FLIGHT_BYTES } from "../protocol/limits.ts";

/**
 * What a client says ahead of its SSH server's first word, kept so that it can be said again to the next connection: a
 * server that has too many drops one without its banner.
 */
export class FirstFlight {
  readonly #stream: ChannelStream;
  #kept: Uint8Array[] = [];
  #length = 0;
  #hasEnded = false;
  #isWhole = true;

  constructor(stream: ChannelStream) {
    this.#stream = stream;
  }

  /** Whether all of it is still here. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** What has been said; nothing, when not all of it is here. */
  get said(): readonly Uint8Array[] {
    return this.#kept;
  }

  /**
   * Says it to a connected server, what was said to another one first. True when the server answers: its words can be read
   * from the socket. False when the server is gone without any, or with no more than an excuse; or the stream is gone.
   */
  async sayTo(server: Socket): Promise<boolean> {
    for (const chunk of this.#kept) server.write(chunk);
    if (this.#hasEnded) server.end();
    const onData = (chunk: Uint8Array): void => {
      this.#keep(chunk);
      server.write(chunk);
      if (!this.#isWhole) this.#stream.pause();
    };
    const onEnd = (): void => {
      this.#hasEnded = true;
      server.end();
    };
    this.#stream.on("data", onData).once("end", onEnd);
    try {
      return await hasAnswered(server, this.#stream);
    } finally {
      this.#stream.off("data", onData).off("end", onEnd).pause();
    }
  }

  #keep(chunk: Uint8Array): void {
    this.#length += chunk.length;
    this.#isWhole &&= this.#length <= FIRST_FLIGHT_BYTES;
    if (this.#isWhole) this.#kept.push(chunk);
    else this.#kept = [];
  }
}

function hasAnswered(server: Socket, stream: ChannelStream): Promise<boolean> {
  return new Promise((resolve) => {
    const held: Uint8Array[] = [];
    const end = (answered: boolean): void => {
      server.off("data", onData).off("end", onGone).off("error", onGone).off("close", onGone);
      stream.off("close", onGone);
      resolve(answered);
    };
    const onGone = (): void => end(false);
    const onData = (chunk: Buffer): void => {
      held.push(chunk);
      const words = Buffer.concat(held);
      if (isExcuse(words)) return;
      server.pause();
      end(true);
      server.unshift(words);
    };
    server.on("data", onData).once("end", onGone).once("error", onGone).once("close", onGone);
    stream.once("close", onGone);
  });
}

/** What OpenSSH says to one that it drops, whole or its beginning: MaxStartups, and PerSourcePenalties since 9.8. */
function isExcuse(words: Buffer): boolean {
  const text = words.toString("latin1").trimEnd();
  return EXCUSES.some((excuse) => excuse.startsWith(text));
}

const EXCUSES = ["Exceeded MaxStartups", "Not allowed at this time"];
