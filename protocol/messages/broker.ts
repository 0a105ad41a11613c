/**
 * What a device and its directory say by an MQTT broker beside the messages of a link (link.ts).
 *
 * ```
 * brokerHello 21  a link hello, then 16 random bytes of the device's connection to the broker
 * goodbye 22      nothing; its freshness is the nonce, those 16 bytes
 * brokerToken 23  nothing; its freshness is the time: the password of a connection to the broker
 * wake 40         16 bytes of the process that asks, then a Notify
 * probe 41        nothing: the device is asked to say hello once more
 * ```
 */
import { ByteReader, ByteWriter } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { encodeLinkHello, type LinkHello, parseLinkHello } from "./link.ts";
import { type Notify, parseNotify } from "./session-request.ts";

export interface BrokerHello extends LinkHello {
  /** 16 random bytes of the connection: by them its goodbye is known. */
  readonly connection: Uint8Array;
}

export interface Wake {
  /** 16 bytes of the process of the directory that asks. */
  readonly replica: Uint8Array;
  readonly notify: Notify;
}

export function encodeBrokerHello(hello: BrokerHello): Uint8Array {
  return new ByteWriter().raw(encodeLinkHello(hello)).raw(hello.connection).done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseBrokerHello(body: Uint8Array): BrokerHello {
  const end = body.length - 16;
  if (end < 0) throw new PeerError("E_PROTOCOL", "a hello by a broker is too short");
  return { ...parseLinkHello(body.subarray(0, end)), connection: body.slice(end) };
}

/** `notify` is an encoded Notify. */
export function encodeWake(replica: Uint8Array, notify: Uint8Array): Uint8Array {
  return new ByteWriter().raw(replica).raw(notify).done();
}

/** @throws {PeerError} E_PROTOCOL. No signature is verified here. */
export function parseWake(body: Uint8Array): Wake {
  const reader = new ByteReader(body);
  const replica = reader.raw(16).slice();
  return { replica, notify: parseNotify(reader.rest()) };
}
