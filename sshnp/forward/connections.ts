import type { Socket } from "node:net";
import { SshnpError } from "../../keys/errors.ts";
import type { ChannelStream } from "../../protocol/channel/stream-adapter.ts";
import { FORWARD_WAIT_MS, SOCKS_HANDSHAKE_MS } from "../../protocol/limits.ts";
import type { Attempt } from "../attempt.ts";
import { breakOff, join } from "./join.ts";
import type { Report } from "./report.ts";
import { SocksHandshake, socksReply, type SocksReplyCode } from "./socks.ts";
import { QueueFull, type StreamQueue } from "./streams.ts";
import { streamRefusal, waitedInVain } from "./texts.ts";
import { withSignal } from "./with-signal.ts";

/** The connections of local programs, from when they are made to when nothing of them is left. */
export class Connections {
  readonly #streams: StreamQueue;
  readonly #device: Attempt["device"];
  readonly #report: Report;
  readonly #signal: AbortSignal;
  readonly #live = new Set<Socket>();
  readonly #onChange: (count: number) => void;

  /** Aborting `signal` ends what still waits. `onChange` is told how many there are. */
  constructor(
    streams: StreamQueue,
    device: Attempt["device"],
    report: Report,
    options: { readonly signal: AbortSignal; readonly onChange: (count: number) => void },
  ) {
    this.#streams = streams;
    this.#device = device;
    this.#report = report;
    this.#signal = options.signal;
    this.#onChange = options.onChange;
  }

  get count(): number {
    return this.#live.size;
  }

  /** Takes a connection over that is for this service. It has not been read. */
  take(local: Socket, service: string): void {
    this.#take(local, async () => {
      const stream = await this.#open(local, service);
      if (stream === undefined) return breakOff(local);
      await join(local, stream);
    });
  }

  /** Takes a connection over whose program is to say by SOCKS what it is for. It has not been read. */
  takeSocks(local: Socket): void {
    this.#take(local, async () => {
      const asked = await readSocks(local, AbortSignal.any([this.#signal, AbortSignal.timeout(SOCKS_HANDSHAKE_MS)]));
      if (asked === undefined) return;
      const { service, rest } = asked;
      let refusal: unknown;
      const stream = await this.#open(local, service, (error) => (refusal = error));
      const reply =
        stream === undefined ? replyFor(refusal) : await stream.opened.then(() => "succeeded" as const, replyFor);
      if (stream === undefined || reply !== "succeeded") return hangUp(local, socksReply(reply));
      if (local.destroyed) return void stream.destroy();
      local.write(socksReply(reply));
      if (rest.length > 0) stream.write(rest);
      await join(local, stream);
    });
  }

  /** Resolves when there is none. */
  async drained(signal: AbortSignal): Promise<void> {
    const closed = [...this.#live].map((local) => new Promise<void>((resolve) => local.once("close", () => resolve())));
    await withSignal(Promise.all(closed), signal);
  }

  /** Breaks all off. */
  close(): void {
    for (const local of this.#live) breakOff(local);
  }

  #take(local: Socket, serve: () => Promise<void>): void {
    this.#live.add(local);
    this.#onChange(this.#live.size);
    local.on("error", () => {}); // its close tells
    local.once("close", () => {
      this.#live.delete(local);
      this.#onChange(this.#live.size);
    });
    serve().catch((error: unknown) => {
      if (error instanceof SshnpError || this.#signal.aborted) return breakOff(local);
      breakOff(local);
      throw error;
    });
  }

  /** Undefined: it cannot be had, which has been told. */
  async #open(
    local: Socket,
    service: string,
    onRefused: (error: unknown) => void = () => {},
  ): Promise<ChannelStream | undefined> {
    const late = AbortSignal.timeout(FORWARD_WAIT_MS);
    const gone = new AbortController();
    local.once("close", () => gone.abort());
    try {
      const signal = AbortSignal.any([this.#signal, late, gone.signal]);
      const { session, stream } = await this.#streams.open(service, signal);
      stream.once("error", (error) => {
        const refusal = streamRefusal(session.attempt, service, error);
        if (refusal !== undefined) this.#report.refused(service, refusal);
      });
      stream.opened.then(
        () => this.#report.granted(service),
        () => {}, // its error tells
      );
      return stream;
    } catch (error) {
      onRefused(error);
      if (this.#signal.aborted || gone.signal.aborted) return undefined;
      if (late.aborted) this.#report.refused(service, waitedInVain({ device: this.#device }, service, LATE));
      else if (error instanceof QueueFull) {
        this.#report.refused(service, waitedInVain({ device: this.#device }, service, "too many wait already"));
      } else if (error instanceof SshnpError) this.#report.refused(service, error);
      else throw error;
      return undefined;
    }
  }
}

const LATE = `there was no room in a session within ${FORWARD_WAIT_MS / 1000} s`;

/** RFC 1928 section 6: why not. */
function replyFor(error: unknown): Exclude<SocksReplyCode, "succeeded"> {
  if (!(error instanceof SshnpError)) return "failed";
  switch (error.code) {
    case "E_DEVICE_REFUSED":
    case "E_POLICY":
      return "not-allowed";
    case "E_CLOSED":
      return "refused";
    case "E_UNREACHABLE":
      return "host-unreachable";
    default:
      return "failed";
  }
}

/** Undefined: nothing comes of it, and the connection is closed. */
async function readSocks(
  local: Socket,
  signal: AbortSignal,
): Promise<{ readonly service: string; readonly rest: Uint8Array } | undefined> {
  const handshake = new SocksHandshake();
  return await new Promise((resolve) => {
    const end = (result: { readonly service: string; readonly rest: Uint8Array } | undefined): void => {
      local.pause().off("data", onData).off("end", onEnd).off("close", onEnd);
      signal.removeEventListener("abort", onEnd);
      if (result === undefined && !local.writableEnded) local.destroy();
      resolve(result);
    };
    const onEnd = (): void => end(undefined);
    const onData = (chunk: Uint8Array): void => {
      const said: Uint8Array[] = [];
      for (const action of handshake.push(chunk)) {
        if (action.type === "send") said.push(action.bytes);
        else if (action.type === "connect") {
          local.write(Buffer.concat(said));
          return end(action);
        } else {
          hangUp(local, Buffer.concat(said));
          return end(undefined);
        }
      }
      if (said.length > 0) local.write(Buffer.concat(said));
    };
    signal.addEventListener("abort", onEnd, { once: true });
    local.on("data", onData).once("end", onEnd).once("close", onEnd).resume();
  });
}

function hangUp(local: Socket, last: Uint8Array): void {
  local.end(last, () => local.destroy());
}
