import { hex } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { encodeSessionRequest } from "../../protocol/messages/session-request.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { SessionInitiator } from "../../protocol/session/initiator.ts";
import { mlKem768 } from "../../protocol/suite/ml-kem.ts";
import { utf8 } from "../../keys/bytes.ts";
import { type World, patience, random, suite } from "../directory/world.ts";
import type { MemberRecord } from "../../directory/records.ts";
import type { MemberName, Name } from "../../keys/names.ts";

export interface Asked {
  readonly initiator: SessionInitiator;
  readonly frames: readonly Frame[];
  /** What the directory said last: an answer of the device, its code, or a refusal of the directory's own. */
  readonly last: Frame | undefined;
}

export interface Party {
  readonly name: Name;
  readonly member: MemberName;
  readonly record: MemberRecord;
}

/** Asks a device for a session with any words, and reads what comes back to its end. */
export async function ask(
  world: World,
  client: Party,
  device: Party,
  {
    key,
    sender = key,
    by = suite,
    service = "ssh",
    login = "",
    sid,
  }: {
    /** Whose msg1 it is. */
    readonly key: X25519PrivateKey;
    /** Who seals the message to the directory. */
    readonly sender?: X25519PrivateKey;
    readonly by?: CipherSuite;
    readonly service?: string;
    readonly login?: string;
    /** Of somebody else's session. */
    readonly sid?: Uint8Array;
  },
): Promise<Asked> {
  const bound = ({ name, member, record }: Party) => ({
    name,
    member,
    bindingHash: suite.sha256(utf8(record.binding.text)),
  });
  // The first 16 bytes that a session is made of are its id.
  let isFirst = true;
  const randomBytes = (length: number): Uint8Array => {
    const given = isFirst && length === 16 ? sid : undefined;
    if (length === 16) isFirst = false;
    return given ?? random(length);
  };
  const initiator = new SessionInitiator(
    { suite: by, kem: mlKem768, random: randomBytes },
    { client: key, device: device.record.x25519 },
    { client: bound(client), device: bound(device), service, login, sshKey: undefined, checkpoint: "" },
  );
  if (sid !== undefined && hex(initiator.sid) !== hex(sid)) throw new Error("the session has another id");
  const { prologue: prologueBytes, message1 } = initiator;
  const body = encodeSessionRequest({
    prologueBytes,
    message1,
    waitSeconds: 0,
    checkpointSize: 0,
    distances: new Map(),
  });
  const frames: Frame[] = [];
  for await (const frame of world.client().send(sender, { type: REQUEST.session, body }, { signal: patience() })) {
    frames.push(frame);
  }
  return { initiator, frames, last: frames.at(-1) };
}

/** The same DH results as the client's, as far as the stolen key of the device can have them: all that msg1 takes. */
export function pretending(
  stolen: X25519PrivateKey,
  client: MemberRecord["x25519"],
): { readonly by: CipherSuite; readonly key: X25519PrivateKey } {
  const by: CipherSuite = {
    ...suite,
    x25519PublicKey: (bytes) => (bytes.every((byte) => byte === 1) ? client.bytes : suite.x25519PublicKey(bytes)),
    dh: (privateKey, publicKey) =>
      privateKey === key && publicKey.equals(stolen.publicKey)
        ? suite.dh(stolen, client)
        : suite.dh(privateKey, publicKey),
  };
  const key: X25519PrivateKey = X25519PrivateKey.parse(by, new Uint8Array(32).fill(1));
  return { by, key };
}
