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
  /** The connections, and what ends the wait of each. */
  readonly #live = new Map<Socket, AbortController>();
  readonly #onChange: (count: number) => void;
  #isClosed = false;

  /** `onChange` is told how many there are. */
  constructor(streams: StreamQueue, device: Attempt["device"], report: Report, onChange: (count: number) => void) {
    this.#streams = streams;
    this.#device = device;
    this.#report = report;
    this.#onChange = onChange;
  }

  get count(): number {
    return this.#live.size;
  }

  /** Takes a connection over that is for this service. It has not been read. */
  take(local: Socket, service: string): void {
    this.#take(local, async (gone) => {
      const stream = await this.#open(service, gone);
      if (stream === undefined) return breakOff(local);
      await join(local, stream);
    });
  }

  /** Takes a connection over whose program is to say by SOCKS what it is for. It has not been read. */
  takeSocks(local: Socket): void {
    this.#take(local, async (gone) => {
      const asked = await readSocks(local);
      if (asked === undefined) return;
      const { service, rest } = asked;
      let refusal: unknown;
      const stream = await this.#open(service, gone, (error) => (refusal = error));
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
    const closed = [...this.#live.keys()].map(
      (local) => new Promise<void>((resolve) => local.once("close", () => resolve())),
    );
    await withSignal(Promise.all(closed), signal);
  }

  /** Breaks all off, and tells of nothing any more. */
  close(): void {
    this.#isClosed = true;
    for (const local of this.#live.keys()) breakOff(local);
  }

  /** `serve` is given what is aborted when the connection is gone. */
  #take(local: Socket, serve: (gone: AbortController) => Promise<void>): void {
    const gone = new AbortController();
    this.#live.set(local, gone);
    this.#onChange(this.#live.size);
    local.on("error", () => {}); // its close tells
    local.once("close", () => {
      gone.abort();
      this.#live.delete(local);
      this.#onChange(this.#live.size);
    });
    serve(gone).catch((error: unknown) => {
      breakOff(local);
      if (!(error instanceof SshnpError)) throw error;
    });
  }

  /** Undefined: it cannot be had, which has been told. */
  async #open(
    service: string,
    gone: AbortController,
    onRefused: (error: unknown) => void = () => {},
  ): Promise<ChannelStream | undefined> {
    const giveUp = (): void => gone.abort(waitedInVain({ device: this.#device }, service, LATE));
    const timer = setTimeout(giveUp, FORWARD_WAIT_MS);
    try {
      const { session, stream } = await this.#streams.open(service, gone.signal);
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
      if (error instanceof QueueFull) {
        this.#report.refused(service, waitedInVain({ device: this.#device }, service, "too many wait already"));
      } else if (error instanceof SshnpError) {
        if (!this.#isClosed && error.code !== "E_INTERRUPTED") this.#report.refused(service, error);
      } else if (!gone.signal.aborted) throw error;
      return undefined;
    } finally {
      clearTimeout(timer);
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
async function readSocks(local: Socket): Promise<{ readonly service: string; readonly rest: Uint8Array } | undefined> {
  const handshake = new SocksHandshake();
  return await new Promise((resolve) => {
    const end = (result: { readonly service: string; readonly rest: Uint8Array } | undefined): void => {
      local.pause().off("data", onData).off("end", onEnd).off("close", onEnd);
      clearTimeout(late);
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
    const late = setTimeout(onEnd, SOCKS_HANDSHAKE_MS);
    local.on("data", onData).once("end", onEnd).once("close", onEnd).resume();
  });
}

function hangUp(local: Socket, last: Uint8Array): void {
  local.end(last, () => local.destroy());
}
