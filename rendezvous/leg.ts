import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { concat, hex } from "../keys/bytes.ts";
import type { PeerError } from "../keys/errors.ts";
import { type LegHello, parseLegHello } from "../protocol/leg-hello.ts";
import { saidSid } from "../protocol/ticket.ts";
import type { LegId } from "./lobby-events.ts";

interface LegListener {
  readonly onHello: (hello: LegHello) => void;
  readonly onMalformed: () => void;
  /** So many bytes came after the hello. */
  readonly onEarly: (bytes: number) => void;
}

/** Small chunks are joined once so many wait, so that they cost no more than their bytes. */
const MERGED_CHUNKS = 64;

/** One accepted socket and what has been read from it until it is joined, refused or found to be no leg. */
export class Leg {
  readonly id: LegId;
  readonly socket: Socket;
  /** The bytes of the leg: those of the socket, or of the WebSocket on it. Undefined until they are known to be a leg's. */
  stream: Duplex | undefined;
  #heard = 0;
  #sid: string | undefined;
  #early: Uint8Array[] = [];
  #stopReading: () => void = ignore;

  constructor(id: LegId, socket: Socket) {
    this.id = id;
    this.socket = socket;
  }

  /** Reads the hello, then what comes before the other leg does. `first`: what was read from the stream already. */
  read(stream: Duplex, first: Uint8Array, listener: LegListener): void {
    this.stream = stream;
    stream.on("error", ignore); // its close follows
    let hello: Uint8Array = new Uint8Array(0);
    const onData = (chunk: Uint8Array): void => {
      hello = hello.length === 0 ? chunk : concat(hello, chunk);
      const parsed = parse(hello);
      if (parsed === undefined) return;
      this.#stopReading();
      if ("error" in parsed) return listener.onMalformed();
      const rest = hello.subarray(parsed.length);
      this.#readEarly(stream, rest, listener);
      listener.onHello(parsed.hello);
      if (rest.length > 0) listener.onEarly(rest.length);
    };
    const onEnd = (): void => listener.onMalformed();
    this.#stopReading = () => void stream.off("data", onData).off("end", onEnd);
    stream.on("data", onData).on("end", onEnd);
    if (first.length > 0) onData(first);
  }

  /** When its hello had come, monotonic ms. */
  get heard(): number {
    return this.#heard;
  }

  /** The session that it says it is of, in hex, where that is to be logged; nothing is verified. */
  get sid(): string | undefined {
    return this.#sid;
  }

  note({ ticket }: LegHello, now: number, isLogged: boolean): void {
    this.#heard = now;
    if (isLogged) this.#sid = sidOf(ticket);
  }

  /** Stops reading and hands over what has been read after the hello. Whoever reads on must do so at once. */
  takeEarly(): readonly Uint8Array[] {
    this.#stopReading();
    const early = this.#early;
    this.#early = [];
    return early;
  }

  /** Says one last thing and closes; what still comes is not read. One that has shown no sign of a leg is just closed. */
  dismiss(answer: Uint8Array): void {
    this.takeEarly();
    if (this.stream === undefined) this.socket.destroy();
    else this.stream.on("data", ignore).end(answer);
  }

  destroy(): void {
    this.stream?.destroy();
    this.socket.destroy();
  }

  #readEarly(stream: Duplex, rest: Uint8Array, listener: LegListener): void {
    if (rest.length > 0) this.#early.push(rest);
    const onData = (chunk: Uint8Array): void => {
      this.#early.push(chunk);
      if (this.#early.length > MERGED_CHUNKS) this.#early = [concat(...this.#early)];
      listener.onEarly(chunk.length);
    };
    this.#stopReading = () => void stream.off("data", onData);
    stream.on("data", onData);
  }
}

function sidOf(ticket: Uint8Array): string | undefined {
  try {
    return hex(saidSid(ticket));
  } catch {
    return undefined; // it says none
  }
}

function parse(bytes: Uint8Array): ReturnType<typeof parseLegHello> | { readonly error: PeerError } {
  try {
    return parseLegHello(bytes);
  } catch (error) {
    return { error: error as PeerError };
  }
}

function ignore(): void {}
