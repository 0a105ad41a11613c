import { describe, expect, test } from "vitest";
import { hex, utf8 } from "../../keys/bytes.ts";
import type { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember } from "../../keys/names.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { activationKey } from "../../keys/activation-key.ts";
import { parseCramSecret } from "../../keys/secret.ts";
import { signSshsig } from "../../keys/sshsig.ts";
import { signKeyList } from "../../protocol/key-list.ts";
import { encodeLegHello } from "../../protocol/leg-hello.ts";
import { encodeDistances } from "../../protocol/messages/rendezvous-distances.ts";
import {
  ACTIVATION_NAMESPACE,
  activationProof,
  encodeActivation,
  encodeActivationStart,
  encodeRendezvousActivation,
  encodeRendezvousReport,
  RENDEZVOUS_ACTIVATION,
  rendezvousActivationProof,
} from "../../protocol/messages/activation.ts";
import { type DeviceEntry, encodeListDevices } from "../../protocol/messages/devices.ts";
import {
  encodeLinkChanged,
  encodeLinkHello,
  encodeLinkNames,
  encodeLinkOwn,
  encodeLinkRefused,
  encodeLinkWatching,
  encodeLinkWelcome,
} from "../../protocol/messages/link.ts";
import { encodePutStatements } from "../../protocol/messages/put-statements.ts";
import { encodeReadStatements, READING_NAMESPACE, readingProof } from "../../protocol/messages/read-statements.ts";
import { encodeFrame, type Frame } from "../../protocol/messages/response-frames.ts";
import { encodeAnswer, encodeNotify, encodeSessionRequest } from "../../protocol/messages/session-request.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { encodeKeyListResponse, ResponseSealer } from "../../protocol/response.ts";
import { sealMessage } from "../../protocol/sealed-message.ts";
import { SessionInitiator } from "../../protocol/session/initiator.ts";
import { signUserCertificate } from "../../keys/ssh-certificate.ts";
import { encodeAnswerPayload, encodeRequestPayload } from "../../protocol/session/payloads.ts";
import { parsePrologue } from "../../protocol/messages/prologue.ts";
import { SessionResponder } from "../../protocol/session/responder.ts";
import { verifyBinding } from "../../protocol/statements.ts";
import { loadKem, loadSuite } from "../../protocol/suite/load.ts";
import { signTicket, ticketHash } from "../../protocol/ticket.ts";
import { cast, NOW, repeatableRandom, statementsOf } from "./fixtures.ts";
import { goldenLog, ORIGIN } from "./golden-log.ts";

const LIMITS = { earlyWindow: 32_768, streamWindow: 4_194_304, sessionWindow: 16_777_216, streams: 64 };

describe.each(["native", "noble"])("every layout of docs/protocol.md, made with the %s suite", (name) => {
  test("is byte for byte the frozen one", async () => {
    await expect(`${JSON.stringify(await everyLayout(name), null, 2)}\n`).toMatchFileSnapshot("../vectors/golden.json");
  });
});

/** One of each, from fixed keys and fixed randomness, as hex; texts stay texts. */
async function everyLayout(suiteName: string): Promise<Record<string, string>> {
  const suite = await loadSuite(suiteName);
  const kem = await loadKem();
  const { client, device, directory, rendezvous } = cast(suite);
  const random = repeatableRandom("golden");
  const layouts: Record<string, string> = {};
  const bytes = (layout: string, value: Uint8Array) => {
    layouts[layout] = hex(value);
    return value;
  };

  layouts["name statement"] = client.nameStatement.text;
  bytes("name statement, SSHSIG", client.nameStatement.signature);
  layouts["binding"] = device.binding.text;
  bytes("binding, SSHSIG", device.binding.signature);
  layouts["rendezvous statement"] = rendezvous.statement.text;
  bytes("rendezvous statement, SSHSIG", rendezvous.statement.signature);
  const logged = goldenLog(suite);
  const { proofs, seen } = logged;
  const { checkpoint } = seen;
  for (const [kind, signed] of Object.entries({
    rotation: logged.rotation,
    "binding by the next owner": logged.rebinding,
    delegation: logged.delegation,
    "binding by a delegation": logged.delegated,
    policy: logged.policy,
    "next policy": logged.nextPolicy,
    "revocation of a member": logged.revocation,
    "revocation of a delegation": logged.delegationRevocation,
  })) {
    layouts[kind] = signed.text;
    bytes(`${kind}, SSHSIG`, signed.signature);
  }

  const keyList = signKeyList(suite, directory.root, {
    seq: 7,
    issued: NOW,
    expires: NOW + 1_209_600_000,
    sealing: [directory.sealing.publicKey],
    ticket: [directory.ticket.publicKey],
    log: directory.log.publicKey,
    origin: ORIGIN,
  });
  layouts["key list"] = keyList.text;
  bytes("key list, SSHSIG", keyList.signature);
  bytes("response, form 1", encodeKeyListResponse(keyList));

  const owner = ed25519Line(client.owner.publicKey);
  const bindingHash = (signed: typeof client.binding, line: string) => verifyBinding(suite, signed, line).hash;
  const session = new SessionInitiator(
    { suite, kem, random },
    { client: client.x25519, device: device.x25519.publicKey },
    {
      client: { name: client.name, member: client.member, bindingHash: bindingHash(client.binding, owner) },
      device: {
        name: device.name,
        member: device.member,
        bindingHash: bindingHash(device.binding, ed25519Line(device.owner.publicKey)),
      },
      service: "ssh",
      login: "pi",
      sshKey: undefined,
      checkpoint: "",
    },
  );
  bytes("prologue", session.prologue);
  bytes("msg1", session.message1);
  const legSeed = session.legKey.secretBytes();
  const sshKey = { use: "push", blob: utf8("blob") } as const;
  bytes("msg1 payload", encodeRequestPayload({ legSeed, checkpoint: "", sshKey: undefined }));
  bytes("msg1 payload with a checkpoint", encodeRequestPayload({ legSeed, checkpoint, sshKey: undefined }));
  bytes("msg1 payload with a key to push", encodeRequestPayload({ legSeed, checkpoint: "", sshKey }));
  const { prologue: prologueBytes, message1 } = session;
  const request = {
    prologueBytes,
    message1,
    waitSeconds: 600,
    checkpointSize: seen.size,
    distances: new Map([
      ["0102030405060708", 12],
      ["1112131415161718", 65_535],
    ]),
  };
  const requestBody = bytes("session request", encodeSessionRequest(request));

  const ticket = bytes(
    "ticket",
    signTicket(suite, directory.ticket, {
      sid: session.sid,
      legKey: session.legKey.publicKey,
      entries: [{ key: rendezvous.ed25519.publicKey, boot: rendezvous.boot, addresses: rendezvous.addresses }],
      issued: NOW,
      expires: NOW + 3_600_000,
    }),
  );
  for (const role of ["client", "device"] as const) {
    const claim = { rendezvous: rendezvous.ed25519.publicKey, boot: rendezvous.boot, sid: session.sid, role, dial: 1 };
    bytes(`leg hello of the ${role}`, encodeLegHello(suite, session.legKey, ticket, claim));
  }
  bytes(
    "notify",
    encodeNotify({
      prologueBytes: session.prologue,
      message1: session.message1,
      ticket,
      client: statementsOf(client),
      rendezvous: [rendezvous.statement],
      proof: proofs.notify.bytes,
    }),
  );

  const responder = new SessionResponder({ suite, kem, random }, device.x25519, {
    prologueBytes: session.prologue,
    prologue: parsePrologue(session.prologue),
    message1: session.message1,
    clientBinding: verifyBinding(suite, client.binding, owner).statement,
  });
  const yes = {
    refusal: undefined,
    ticketHash: ticketHash(suite, ticket),
    hostKeys: [utf8("blob")],
    keyTaken: false,
    checkpoint: "",
    limits: LIMITS,
  };
  bytes("msg2 payload", encodeAnswerPayload(yes));
  bytes("msg2 payload with a checkpoint", encodeAnswerPayload({ ...yes, checkpoint }));
  const certificate = signUserCertificate(suite, repeatableRandom("certificate"), device.ed25519, {
    ...{ key: client.ed25519.publicKey, keyId: "sshnp:@client/laptop", principals: ["pi"] },
    ...{ validAfter: 1_700_000_000, validBefore: 1_700_000_300, sourceAddress: "127.0.0.1/32,::1/128" },
  });
  bytes("SSH certificate", certificate);
  bytes("msg2 payload with an SSH certificate", encodeAnswerPayload({ ...yes, keyTaken: true, certificate }));
  bytes(
    "msg2 payload of a refusal",
    encodeAnswerPayload({
      ...yes,
      refusal: { code: "E_DEVICE_REFUSED", reason: "it does not list @client" },
      hostKeys: [],
    }),
  );
  const { message2, keys } = responder.answer(yes);
  bytes("msg2", message2);
  expect(session.readMessage2(message2, ticket).keys.handshakeHash).toEqual(keys.handshakeHash);
  bytes("answer", encodeAnswer({ sid: session.sid, message2 }));
  bytes("answer with a code", encodeAnswer({ sid: session.sid, code: "E_VERSION", labels: ["sshnp/1"] }));

  const nonce = random(16);
  const sealed = sealMessage(
    suite,
    random,
    { sender: client.x25519, recipient: directory.sealing.publicKey },
    { freshness: { kind: "time", time: NOW }, id: random(16), type: REQUEST.session, body: requestBody },
  );
  bytes("sealed message, fresh by time", sealed.bytes);
  const byNonce = {
    freshness: { kind: "nonce", nonce },
    id: random(16),
    type: REQUEST.withdraw,
    body: session.sid,
  } as const;
  bytes(
    "sealed message, fresh by nonce",
    sealMessage(suite, random, { sender: client.x25519, recipient: directory.sealing.publicKey }, byNonce).bytes,
  );

  const response = new ResponseSealer(suite, sealed.responseSecret, random(32));
  bytes("response, opening", response.opening);
  const frames: Frame[] = [
    { type: "welcome", time: NOW, nonce, keyListSeq: 7 },
    { type: "keepAlive" },
    { type: "waiting", lastSeen: NOW - 840_000 },
    { type: "ticket", ticket, rendezvous: [rendezvous.statement], proof: proofs.ticket.bytes },
    { type: "answer", message2 },
    { type: "deviceCode", code: "E_DEVICE_UNREADABLE", labels: "sshnp/1" },
    { type: "binding", of: "device", statements: statementsOf(device), proof: proofs.binding.bytes },
    { type: "activation", nonce, time: NOW },
    { type: "rendezvous", statement: rendezvous.statement },
    { type: "logged", proof: proofs.logged.bytes },
    { type: "statements", statements: [logged.rotation, logged.rebinding], proof: proofs.logged.bytes },
    { type: "refused", code: "E_OFFLINE", detail: NOW - 840_000 },
    { type: "done" },
  ];
  for (const frame of frames) {
    const encoded = encodeFrame(frame);
    bytes(`frame ${frame.type}`, encoded.body);
    bytes(`frame ${frame.type}, sealed`, response.seal({ ...encoded, final: frame.type === "done" }));
  }

  const challenge = { nonce, directoryFingerprint: "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
  const version = "0.1.0";
  const epoch = random(16);
  bytes(
    "link hello",
    encodeLinkHello({
      ...{ name: device.name, member: device.member, epoch, version, names: [client.name] },
      ...{ checkpointSize: seen.size, policyHash: suite.sha256(utf8(logged.policy.text)) },
    }),
  );
  bytes("link welcome", encodeLinkWelcome({ time: NOW, nonce, keyListSeq: 7 }));
  bytes("link refused", encodeLinkRefused({ code: "E_REPLACED", time: NOW, nonce }));
  const chains = [logged.rotated.names, logged.bySensor.names];
  bytes("link names", encodeLinkNames({ chains, proof: proofs.names.bytes }));
  const own = { statements: logged.bySensor, policy: logged.policy, proof: proofs.own.bytes };
  bytes("link own", encodeLinkOwn(own));
  bytes("link own without a policy", encodeLinkOwn({ ...own, policy: undefined }));
  const changed = { client: { name: client.name, member: client.member }, statements: logged.rotated };
  bytes("link changed", encodeLinkChanged({ ...changed, proof: proofs.changed.bytes }));
  const { delegation, delegated, delegationRevocation } = logged;
  const ended = { names: logged.rotated.names, member: delegated, delegation, delegationRevocation };
  bytes(
    "link changed, its delegation revoked",
    encodeLinkChanged({ ...changed, statements: ended, proof: proofs.changed.bytes }),
  );
  bytes("link distances", encodeDistances(request.distances));
  bytes("link watching", encodeLinkWatching([changed.client]));
  const statements = [logged.rotation, logged.rebinding];
  bytes("put statements", encodePutStatements({ checkpointSize: seen.size, statements }));
  const reading = { name: client.name, what: "newest", checkpointSize: seen.size } as const;
  bytes("read statements", encodeReadStatements({ ...reading, ownerSignature: new Uint8Array(0) }));
  const readBytes = bytes(
    "reading, signed bytes",
    readingProof(challenge.directoryFingerprint, client.name, client.x25519.publicKey),
  );
  const ownerSignature = signSshsig(suite, logged.nextOwner, READING_NAMESPACE, readBytes);
  bytes("read statements as an owner", encodeReadStatements({ ...reading, what: "history", ownerSignature }));
  bytes("list devices", encodeListDevices(device.name));
  const devices: DeviceEntry[] = [
    { member: device.member, state: "online", since: NOW, version },
    { member: parseMember("shed"), state: "offline", lastSeen: NOW - 840_000 },
    { member: parseMember("spare"), state: "never seen" },
  ];
  bytes("frame devices", encodeFrame({ type: "devices", devices }).body);
  layouts["checkpoint"] = checkpoint;
  bytes("log proof", proofs.notify.bytes);
  bytes("log proof for who has seen nothing", proofs.binding.bytes);

  const proof = bytes(
    "activation, signed bytes",
    activationProof(challenge, owner, verifyBinding(suite, client.binding, owner).statement),
  );
  const secret = parseCramSecret("09a4".repeat(16));
  bytes("activation start", encodeActivationStart(client.name));
  bytes(
    "activation",
    encodeActivation({
      nonce,
      name: client.nameStatement,
      binding: client.binding,
      activationSignature: suite.sign(activationKey(suite, secret, client.name), proof),
      ownerSignature: signSshsig(suite, client.owner, ACTIVATION_NAMESPACE, proof),
    }),
  );
  const identity = { x25519: rendezvous.x25519.publicKey, ed25519: rendezvous.ed25519.publicKey };
  const rendezvousProof = bytes("rendezvous activation, signed bytes", rendezvousActivationProof(challenge, identity));
  const key: Ed25519PrivateKey = activationKey(suite, secret, RENDEZVOUS_ACTIVATION);
  const { addresses, boot } = rendezvous;
  bytes(
    "rendezvous activation",
    encodeRendezvousActivation({
      ...identity,
      nonce,
      activationKey: key.publicKey,
      addresses,
      activationSignature: suite.sign(key, rendezvousProof),
      ownSignature: suite.sign(rendezvous.ed25519, rendezvousProof),
    }),
  );
  bytes(
    "rendezvous report",
    encodeRendezvousReport({ boot, legs: 3, most: 16_000, isDraining: true, region: "eu-west", addresses }),
  );
  return layouts;
}
