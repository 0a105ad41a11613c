import type { Aead } from "../../../keys/cipher-suite.ts";
import { Channel } from "../../../protocol/channel/channel.ts";
import type { ChannelEvent } from "../../../protocol/channel/channel-event.ts";
import { type ChannelRecord, parseRecord } from "../../../protocol/channel/record.ts";
import { RecordOpener } from "../../../protocol/channel/record-opener.ts";
import { RecordSealer } from "../../../protocol/channel/record-sealer.ts";
import { EARLY_WINDOW_BYTES, SESSION_WINDOW_BYTES, STREAM_WINDOW_BYTES, STREAMS } from "../../../protocol/limits.ts";
import type { ChannelLimits } from "../../../protocol/session/payloads.ts";
import { nativeSuite } from "../../../protocol/suite/native.ts";

export type Role = "client" | "device";

export const LIMITS: ChannelLimits = {
  earlyWindow: EARLY_WINDOW_BYTES,
  streamWindow: STREAM_WINDOW_BYTES,
  sessionWindow: SESSION_WINDOW_BYTES,
  streams: STREAMS,
};

/** The keys of one session, as Split() gives them. */
export interface Keys {
  readonly client: Uint8Array;
  readonly device: Uint8Array;
}

export function keys(session = 1): Keys {
  return { client: new Uint8Array(32).fill(2 * session), device: new Uint8Array(32).fill(2 * session + 1) };
}

export function other(role: Role): Role {
  return role === "client" ? "device" : "client";
}

/** A channel whose every nonce is recorded. */
export function newChannel(role: Role, limits: ChannelLimits = LIMITS, session = keys()): Channel {
  return new Channel({
    role,
    send: recorded(nativeSuite.aead(session[role])),
    receive: nativeSuite.aead(session[other(role)]),
    limits,
  });
}

/** `aead`, refusing to seal twice under one nonce. */
export function recorded(aead: Aead): Aead {
  const used = new Set<bigint>();
  const use = (counter: bigint): void => {
    if (used.has(counter)) throw new Error(`nonce ${counter} is used twice`);
    used.add(counter);
  };
  return {
    seal: (counter, ad, plaintext) => {
      use(counter);
      return aead.seal(counter, ad, plaintext);
    },
    sealParts: (counter, ad, parts) => {
      use(counter);
      return aead.sealParts(counter, ad, parts);
    },
    open: (counter, ad, ciphertext) => aead.open(counter, ad, ciphertext),
  };
}

/** Everything a channel has to say, as one array. */
export function output(channel: Channel): Uint8Array {
  return Buffer.concat(channel.takeOutput());
}

/** Two channels and what travels between them, record by record, both confirmed. */
export class Pair {
  readonly client: Channel;
  readonly device: Channel;
  now = 0;

  constructor(limits: ChannelLimits = LIMITS) {
    this.client = newChannel("client", limits);
    this.device = newChannel("device", limits);
    this.toDevice();
    this.toClient();
  }

  /** Delivers all that the client has said; the device's events. */
  toDevice(): ChannelEvent[] {
    return this.device.receive(output(this.client), this.now);
  }

  toClient(): ChannelEvent[] {
    return this.client.receive(output(this.device), this.now);
  }

  /** A stream that both sides know and the device has accepted. */
  openStream(): number {
    const stream = this.client.open("ssh");
    if (stream === undefined) throw new Error("no stream to be had");
    this.toDevice();
    this.device.accept(stream);
    this.toClient();
    return stream;
  }
}

/** One side of a session that says whatever it is told to, allowed or not, and reads what it is told. */
export class RawPeer {
  readonly #sealer: RecordSealer;
  readonly #opener: RecordOpener;

  constructor(role: Role, session = keys()) {
    this.#sealer = new RecordSealer(nativeSuite.aead(session[role]));
    this.#opener = new RecordOpener(nativeSuite.aead(session[other(role)]));
  }

  seal(...records: readonly ChannelRecord[]): Uint8Array {
    return Buffer.concat(records.flatMap((record) => this.#sealer.seal(record)));
  }

  open(bytes: Uint8Array): ChannelRecord[] {
    const records: ChannelRecord[] = [];
    this.#opener.push(bytes);
    for (let text = this.#opener.next(); text !== undefined; text = this.#opener.next())
      records.push(parseRecord(text));
    return records;
  }
}

/** Bytes that tell where in which stream they stand. */
export function pattern(stream: number, offset: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (stream * 31 + (offset + i) * 7 + ((offset + i) >> 8)) & 0xff);
}
