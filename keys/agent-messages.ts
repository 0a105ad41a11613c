/**
 * Messages of the SSH agent protocol (RFC 9987) that it takes to sign, as a client and as an agent.
 *
 * ```
 * message               u32 length of the rest || u8 type || fields
 * 11 requestIdentities  to the agent, nothing                                 section 5.5
 * 12 identitiesAnswer   u32 count || count times: string key blob || string comment
 * 13 signRequest        to the agent, string key blob || string data || u32 flags (0: none are for Ed25519)   section 5.6
 * 14 signResponse       string signature
 *  5 failure            whatever was asked for and why, nothing more          section 5.1
 * ```
 */
import { ByteReader, ByteWriter, utf8Text } from "./bytes.ts";
import { PeerError } from "./errors.ts";

/** A key that an agent says it has. */
export interface AgentKey {
  /** In SSH's encoding; of any type, also of those that nobody here knows. */
  readonly blob: Uint8Array;
  /** Mostly text, mostly UTF-8. */
  readonly comment: Uint8Array;
}

export type AgentAnswer =
  | { readonly type: "keys"; readonly keys: readonly AgentKey[] }
  | { readonly type: "signature"; readonly signature: Uint8Array }
  | { readonly type: "failure" };

/** Asks for the keys: a whole message. */
export function encodeKeysRequest(): Uint8Array {
  return message(new ByteWriter().u8(REQUEST_IDENTITIES).done());
}

/** Asks for a signature of a key over `data`: a whole message. */
export function encodeSignRequest(key: Uint8Array, data: Uint8Array): Uint8Array {
  return message(new ByteWriter().u8(SIGN_REQUEST).bytes32(key).bytes32(data).u32(0).done());
}

export type AgentRequest =
  | { readonly type: "keys" }
  | { readonly type: "sign"; readonly key: Uint8Array; readonly data: Uint8Array };

/** A request without its length. @throws {PeerError} E_PROTOCOL when it is none of the two. */
export function parseAgentRequest(bytes: Uint8Array): AgentRequest {
  const reader = new ByteReader(bytes);
  const type = reader.u8();
  if (type === REQUEST_IDENTITIES) {
    reader.end();
    return { type: "keys" };
  }
  if (type !== SIGN_REQUEST) throw new PeerError("E_PROTOCOL", "a request of an unknown type");
  const request: AgentRequest = { type: "sign", key: reader.bytes32(), data: reader.bytes32() };
  reader.u32();
  reader.end();
  return request;
}

/** Says which keys there are: a whole message. */
export function encodeKeysAnswer(keys: readonly AgentKey[]): Uint8Array {
  const writer = new ByteWriter().u8(IDENTITIES_ANSWER).u32(keys.length);
  for (const { blob, comment } of keys) writer.bytes32(blob).bytes32(comment);
  return message(writer.done());
}

/** Gives a signature in SSH's encoding: a whole message. */
export function encodeSignAnswer(signature: Uint8Array): Uint8Array {
  return message(new ByteWriter().u8(SIGN_RESPONSE).bytes32(signature).done());
}

/** Says no: a whole message. */
export function encodeAgentFailure(): Uint8Array {
  return message(new ByteWriter().u8(FAILURE).done());
}

/** An answer without its length. @throws {PeerError} E_PROTOCOL when it is none of ours, or too long. */
export function parseAgentAnswer(bytes: Uint8Array): AgentAnswer {
  if (bytes.length > MAX_ANSWER_BYTES) throw tooLong();
  const reader = new ByteReader(bytes);
  const answer = readAnswer(reader.u8(), reader);
  reader.end();
  return answer;
}

/** Puts one answer, or request, together from the pieces in which it arrives. */
export class AgentAnswerBuffer {
  readonly #header = new Uint8Array(4);
  #body: Uint8Array | undefined;
  #filled = 0;

  /**
   * Takes the next piece; returns the answer without its length once it is whole.
   * @throws {PeerError} E_PROTOCOL when it is empty, longer than 256 KiB, or not alone.
   */
  push(piece: Uint8Array): Uint8Array | undefined {
    const rest = this.#body === undefined ? this.#takeHeader(piece) : piece;
    if (this.#body === undefined) return undefined;
    if (rest.length > this.#body.length - this.#filled) throw new PeerError("E_PROTOCOL", "more than one answer");
    this.#body.set(rest, this.#filled);
    this.#filled += rest.length;
    return this.#filled === this.#body.length ? this.#body : undefined;
  }

  #takeHeader(piece: Uint8Array): Uint8Array {
    const part = piece.subarray(0, this.#header.length - this.#filled);
    this.#header.set(part, this.#filled);
    this.#filled += part.length;
    if (this.#filled === this.#header.length) {
      const length = new ByteReader(this.#header).u32();
      if (length === 0) throw new PeerError("E_PROTOCOL", "an empty answer");
      if (length > MAX_ANSWER_BYTES) throw tooLong();
      this.#body = new Uint8Array(length);
      this.#filled = 0;
    }
    return piece.subarray(part.length);
  }
}

/** What a key blob says it is, such as `ssh-rsa`; undefined when that is no word of SSH. */
export function typeOfKey({ blob }: AgentKey): string | undefined {
  try {
    const type = utf8Text(new ByteReader(blob).bytes32());
    return KEY_TYPE.test(type) ? type : undefined;
  } catch (error) {
    if (error instanceof PeerError) return undefined;
    throw error;
  }
}

const FAILURE = 5;
const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;

/** What OpenSSH takes from an agent: 256 KiB, and so many keys. */
const MAX_ANSWER_BYTES = 256 * 1024;
const MAX_KEYS = 2048;

/** A name of RFC 4251 section 6. */
const KEY_TYPE = /^[\w.@-]{1,64}$/;

function readAnswer(type: number, reader: ByteReader): AgentAnswer {
  switch (type) {
    case FAILURE:
      return { type: "failure" };
    case IDENTITIES_ANSWER: {
      const count = reader.u32();
      if (count > MAX_KEYS) throw new PeerError("E_PROTOCOL", "too many keys");
      const keys = Array.from({ length: count }, () => ({ blob: reader.bytes32(), comment: reader.bytes32() }));
      return { type: "keys", keys };
    }
    case SIGN_RESPONSE:
      return { type: "signature", signature: reader.bytes32() };
    default:
      throw new PeerError("E_PROTOCOL", "an answer of an unknown type");
  }
}

function message(body: Uint8Array): Uint8Array {
  return new ByteWriter().bytes32(body).done();
}

function tooLong(): PeerError {
  return new PeerError("E_PROTOCOL", "an answer is too long");
}
