import { describe, expect, test } from "vitest";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { SessionInitiator } from "../../protocol/session/initiator.ts";
import type { AnswerPayload } from "../../protocol/session/payloads.ts";
import { encodePrologue, parsePrologue, type Prologue } from "../../protocol/messages/prologue.ts";
import { SessionResponder } from "../../protocol/session/responder.ts";
import { type Binding, verifyBinding } from "../../protocol/statements.ts";
import { mlKem768 } from "../../protocol/suite/ml-kem.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { ticketHash } from "../../protocol/ticket.ts";
import { cast, repeatableRandom } from "./fixtures.ts";

const { client, device } = cast(suite);
const clientBinding = verifyBinding(suite, client.binding, ed25519Line(client.owner.publicKey));
const deviceBinding = verifyBinding(suite, device.binding, ed25519Line(device.owner.publicKey));
const ticket = new Uint8Array(300).fill(7);
const CHECKPOINT = "what the client has seen";

function begin(keys: { client?: X25519PrivateKey } = {}) {
  const random = repeatableRandom("session");
  const primitives = { suite, kem: mlKem768, random };
  const initiator = new SessionInitiator(
    primitives,
    { client: keys.client ?? client.x25519, device: device.x25519.publicKey },
    {
      client: { name: client.name, member: client.member, bindingHash: clientBinding.hash },
      device: { name: device.name, member: device.member, bindingHash: deviceBinding.hash },
      service: "ssh",
      login: "pi",
      sshKey: undefined,
      checkpoint: CHECKPOINT,
    },
  );
  return { initiator, primitives };
}

function respond(
  { initiator, primitives }: ReturnType<typeof begin>,
  changes: { prologueBytes?: Uint8Array; message1?: Uint8Array; deviceKey?: X25519PrivateKey; binding?: Binding } = {},
) {
  const prologueBytes = changes.prologueBytes ?? initiator.prologue;
  return new SessionResponder(primitives, changes.deviceKey ?? device.x25519, {
    prologueBytes,
    prologue: parsePrologue(prologueBytes),
    message1: changes.message1 ?? initiator.message1,
    clientBinding: changes.binding ?? clientBinding.statement,
  });
}

const yes: AnswerPayload = {
  refusal: undefined,
  ticketHash: ticketHash(suite, ticket),
  hostKeys: [],
  keyTaken: false,
  checkpoint: "what the device has seen",
  limits: { earlyWindow: 1, streamWindow: 2, sessionWindow: 3, streams: 4 },
};

describe("a session handshake", () => {
  test("gives both ends the same keys and each other's checkpoint, and the device the client's leg key", () => {
    const session = begin();
    const responder = respond(session);
    const { message2, keys } = responder.answer(yes);
    const answer = session.initiator.readMessage2(message2, ticket);
    expect(answer.payload).toEqual(yes);
    expect(responder.payload).toMatchObject({ checkpoint: CHECKPOINT, sshKey: undefined });
    expect(answer.keys.initiatorToResponder).toEqual(keys.initiatorToResponder);
    expect(answer.keys.responderToInitiator).toEqual(keys.responderToInitiator);
    expect(answer.keys.initiatorToResponder).not.toEqual(keys.responderToInitiator);
    expect(responder.legKey.publicKey.equals(session.initiator.legKey.publicKey)).toBe(true);
  });

  const session = begin();
  const prologue = parsePrologue(session.initiator.prologue);
  const otherHash = new Uint8Array(32).fill(9);
  const changed: Record<string, Prologue> = {
    "session id": { ...prologue, sid: new Uint8Array(16) },
    "client name": { ...prologue, client: { ...prologue.client, name: device.name } },
    "client member": { ...prologue, client: { ...prologue.client, member: device.member } },
    "client binding": { ...prologue, client: { ...prologue.client, bindingHash: otherHash } },
    "device name": { ...prologue, device: { ...prologue.device, name: client.name } },
    "device member": { ...prologue, device: { ...prologue.device, member: client.member } },
    "device binding": { ...prologue, device: { ...prologue.device, bindingHash: otherHash } },
    service: { ...prologue, service: "tcp:10.0.0.1:5432" },
    login: { ...prologue, login: "root" },
    "no login": { ...prologue, login: "" },
    "leg key": { ...prologue, legKey: Ed25519PrivateKey.generate(suite, repeatableRandom("other leg")).publicKey },
  };
  test.each(Object.keys(changed))("fails when somebody in the middle changes the %s", (field) => {
    const other = changed[field];
    if (other === undefined) throw new Error("no such case");
    expect(() => respond(begin(), { prologueBytes: encodePrologue(other) })).toThrow();
  });

  test("fails when one letter moves from one field of the prologue to the next", () => {
    const shifted = { ...prologue, service: "ssh", login: "p" };
    expect(() => respond(begin(), { prologueBytes: encodePrologue(shifted) })).toThrow();
  });

  test("counts only if it is made with the key of the client's binding", () => {
    const stranger = X25519PrivateKey.generate(suite, repeatableRandom("stranger"));
    expect(() => respond(begin({ client: stranger }))).toThrow("not made with the key of its client's binding");
  });

  test("is refused when it comes from the device's own key, even if a binding should say so", () => {
    const binding = { ...clientBinding.statement, x25519: device.x25519.publicKey };
    expect(() => respond(begin({ client: device.x25519 }), { binding })).toThrow("not made with the key");
  });

  test("cannot be answered by another device", () => {
    const other = X25519PrivateKey.generate(suite, repeatableRandom("other device"));
    expect(() => respond(begin(), { deviceKey: other })).toThrow();
  });

  test("is refused by the client when the device was given another ticket", () => {
    const current = begin();
    const { message2 } = respond(current).answer(yes);
    expect(() => current.initiator.readMessage2(message2, new Uint8Array(300))).toThrow("different tickets");
  });

  test("an answer to one session is no answer to another", () => {
    const { message2 } = respond(begin()).answer(yes);
    const random = repeatableRandom("another session");
    const primitives = { suite, kem: mlKem768, random };
    const other = new SessionInitiator(
      primitives,
      { client: client.x25519, device: device.x25519.publicKey },
      {
        client: prologue.client,
        device: prologue.device,
        service: "ssh",
        login: "pi",
        sshKey: undefined,
        checkpoint: "",
      },
    );
    expect(() => other.readMessage2(message2, ticket)).toThrow();
  });

  test("a thief of the device's key can send msg1 in a client's name, but cannot read msg2", () => {
    // Key-compromise impersonation (Noise rev 34 section 7.7): ss can be computed with the device's key instead of the
    // client's, so msg1 proves nothing yet. se in msg2 needs the client's key or the device's ephemeral one.
    const forged = Object.assign(Object.create(X25519PrivateKey.prototype) as object, {
      publicKey: client.x25519.publicKey,
    }) as X25519PrivateKey;
    const thiefSuite: CipherSuite = {
      ...suite,
      dh: (ours, theirs) =>
        ours === forged
          ? suite.dh(device.x25519, theirs.equals(device.x25519.publicKey) ? client.x25519.publicKey : theirs)
          : suite.dh(ours, theirs),
    };
    const thief = new SessionInitiator(
      { suite: thiefSuite, kem: mlKem768, random: repeatableRandom("thief") },
      { client: forged, device: device.x25519.publicKey },
      {
        client: prologue.client,
        device: prologue.device,
        service: "ssh",
        login: "root",
        sshKey: undefined,
        checkpoint: "",
      },
    );
    const primitives = { suite, kem: mlKem768, random: repeatableRandom("device") };
    const { message2 } = respond({ initiator: thief, primitives }).answer(yes);
    expect(() => thief.readMessage2(message2, ticket)).toThrow();
  });
});
