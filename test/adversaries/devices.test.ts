/** A device that is its owner's and means its clients ill: it has its keys and answers what it likes; the client is sshnp. */
import { afterAll, beforeAll, expect } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { ed25519Line, parsePublicKeyLine } from "../../keys/openssh.ts";
import type { Link } from "../../directory/client.ts";
import { Channel } from "../../protocol/channel/channel.ts";
import type { Notify } from "../../protocol/messages/session-request.ts";
import type { AnswerPayload } from "../../protocol/session/payloads.ts";
import { SessionResponder } from "../../protocol/session/responder.ts";
import { verifyBinding } from "../../protocol/statements.ts";
import { mlKem768 } from "../../protocol/suite/ml-kem.ts";
import { ticketHash, verifyTicket } from "../../protocol/ticket.ts";
import { dialLeg } from "../../rendezvous/client.ts";
import { CHANNEL_LIMITS } from "../../sshnpd/requests.ts";
import { openDeviceLink, patience, type Person, random, suite } from "../directory/world.ts";
import type { Machine } from "../support/stack.ts";
import { ForgingDirectory } from "./forging-directory.ts";
import { codeIn, type Outcome, runRows } from "./run.ts";

let forger: ForgingDirectory;
let pi: Person;
let link: Link;
/** What it answers to a request. */
let answer: (notify: Notify) => Uint8Array;
beforeAll(async () => {
  forger = await ForgingDirectory.start();
  pi = await forger.world.activated("@pi", "box", "device");
  link = await openDeviceLink(forger.world.client(), pi, [], new AbortController().signal);
  void serve();
});
afterAll(async () => {
  link?.close();
  await forger?.[Symbol.asyncDispose]();
});

const hostKey = newHostKey();

runRows(import.meta.filename, {
  "its refusal has escape sequences and line ends": async () => {
    answer = withPayload({
      refusal: { code: "E_DEVICE_REFUSED", reason: "\u001b]0;owned\u0007\nsshnp: all is well\r\u202e" },
    });
    const { outcome, stderr } = await meet();
    for (const character of ["\u001b", "\u0007", "\r", "\u202e"]) expect(stderr).not.toContain(character);
    expect(stderr).not.toMatch(/^sshnp: all is well/m);
    return outcome;
  },
  "its answer is as long as an answer may be, and none": async () => {
    answer = () => random(40 * 1024);
    return (await meet()).outcome;
  },
  "its answer is that to another request": async () => {
    const honest = withPayload({});
    let first: Uint8Array | undefined;
    answer = (notify) => (first ??= honest(notify));
    await meet();
    return (await meet()).outcome;
  },
  "its answer goes with another ticket": async () => {
    answer = withPayload({ ticketHash: random(32) });
    return (await meet()).outcome;
  },
  "its host keys are no keys": async () => {
    answer = withPayload({ hostKeys: [random(64)] });
    return (await meet()).outcome;
  },
  "it presents other host keys than it did": async () => {
    const client = forger.machine(forger.client);
    answer = withPayload({ hostKeys: [hostKey] }, () => {}, true);
    await meet(client);
    answer = withPayload({ hostKeys: [newHostKey()] });
    return (await meet(client)).outcome;
  },
  "it opens a stream towards its client": async () => {
    answer = withPayload({ hostKeys: [hostKey] }, (channel) => void channel.open("tcp:127.0.0.1:22"));
    return (await meet()).outcome;
  },
  "it cuts the session short": async () => {
    answer = withPayload({ hostKeys: [hostKey] }, () => {}, true);
    return (await meet()).outcome;
  },
});

async function serve(): Promise<void> {
  for await (const event of link.events) {
    if (event.type !== "notify") continue;
    link.answer({ sid: event.notify.prologue.sid, message2: answer(event.notify) });
  }
}

async function meet(machine: Machine = forger.machine(forger.client)): Promise<{ outcome: Outcome; stderr: string }> {
  const { code, stdout, stderr } = await forger.connect(machine, "@pi", "box");
  expect({ code, stdout }, stderr).toEqual({ code: 255, stdout: "" });
  return { outcome: { code: codeIn(stderr) }, stderr };
}

/** Answers as a device does but for these fields, and then says on its leg what `speak` says. */
function withPayload(
  change: Partial<AnswerPayload>,
  speak?: (channel: Channel) => void,
  isCut = false,
): (notify: Notify) => Uint8Array {
  return ({ prologue, prologueBytes, message1, ticket, client: { names, member } }) => {
    const { owner } = JSON.parse(names[0]?.text ?? "") as { readonly owner: string };
    const request = { prologue, prologueBytes, message1, clientBinding: verifyBinding(suite, member, owner).statement };
    const responder = new SessionResponder({ suite, kem: mlKem768, random }, pi.x25519, request);
    const { message2, keys } = responder.answer({
      ...{ refusal: undefined, ticketHash: ticketHash(suite, ticket), hostKeys: [], keyTaken: false, checkpoint: "" },
      ...{ limits: CHANNEL_LIMITS, ...change },
    });
    if (speak !== undefined) void dial(ticket, { legKey: responder.legKey, sid: prologue.sid }, keys, speak, isCut);
    return message2;
  };
}

async function dial(
  ticket: Uint8Array,
  { legKey, sid }: { readonly legKey: SessionResponder["legKey"]; readonly sid: Uint8Array },
  keys: ReturnType<SessionResponder["answer"]>["keys"],
  speak: (channel: Channel) => void,
  isCut: boolean,
): Promise<void> {
  const { list } = await forger.world.client().keyList({ signal: patience() });
  const { entries } = verifyTicket(suite, list.ticket, ticket);
  let dials = 0;
  const leg = await dialLeg({
    ...{ suite, ticket, entries, sid, legKey, role: "device", allowPrivate: true, signal: patience() },
    nextDial: () => ++dials,
  });
  leg.socket.on("error", () => {}).resume();
  await leg.joined;
  // Of its two roles the channel lets only a client open streams: here it has the device's keys.
  const channel = new Channel({
    role: "client",
    send: suite.aead(keys.responderToInitiator),
    receive: suite.aead(keys.initiatorToResponder),
    limits: CHANNEL_LIMITS,
  });
  speak(channel);
  for (const piece of channel.takeOutput()) leg.socket.write(piece);
  if (isCut) leg.socket.end();
}

function newHostKey(): Uint8Array {
  return parsePublicKeyLine(ed25519Line(Ed25519PrivateKey.generate(suite, random).publicKey)).blob;
}
