import { afterEach, beforeEach, expect, test } from "vitest";
import type { DirectoryClient } from "../../directory/client.ts";
import { utf8 } from "../../keys/bytes.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { encodeOwnStatementsQuestion } from "../../protocol/messages/enrolment.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { kindOf } from "../../protocol/statement-fields.ts";
import { verifyBinding } from "../../protocol/statements.ts";
import { policy, rebinding, revocation } from "../support/later-statements.ts";
import { next, only, send, TestLink } from "./streams.ts";
import { newPerson, patience, type Person, putMessage, sessionMessage, suite, World } from "./world.ts";

/*
 * A statement is put between what an answer is made of and its proof, as happens while a proof waits for a witness. All that an
 * honest directory says then has to hold under the proof that it comes with.
 */

let world: World;
let client: Person;
let device: Person;
let answered: Promise<unknown>[];
beforeEach(async () => {
  answered = [];
  world = await World.start();
  client = await world.activated("@client", "laptop", "client");
  device = await world.activated("@device", "mygateway", "device");
  await world.rendezvous();
});
afterEach(async () => {
  await Promise.allSettled(answered);
  await world[Symbol.asyncDispose]();
});

const subjectOf = ({ name, member }: Person): string => `${name}/${member}`;
const revoking = (who: Person): SignedText => revocation(who.owner, who.binding);
const policySubject = (who: Person): string => `${who.name}:policy`;

function put(signed: SignedText): Promise<Frame> {
  return world.client().request(client.x25519, putMessage(signed), { signal: patience() });
}

/** Puts `signed` once, when the next proof of `subject` is asked for, which is made when that is logged. */
function putBeforeProofOf(subject: string, signed: SignedText): void {
  const { statementLog } = world.directory;
  const prove = statementLog.proof.bind(statementLog);
  statementLog.proof = async (subjects, since) => {
    if (subjects.includes(subject)) {
      statementLog.proof = prove;
      const { size } = statementLog.checkpoint;
      answered.push(put(signed));
      while (statementLog.checkpoint.size === size) await new Promise(setImmediate);
    }
    return await prove(subjects, since);
  };
}

/** Demands of a proof what whoever gets these statements demands. */
function demand(
  to: DirectoryClient,
  proof: Uint8Array,
  ...claims: readonly (readonly [string, SignedText | undefined])[]
): void {
  to.acceptProof(proof).demand(
    claims.map(([subject, signed]) => ({ subject, newest: signed && suite.sha256(utf8(signed.text)) })),
  );
}

test.each(["device", "client"] as const)("a %s that is revoked meanwhile is shown as revoked", async (of) => {
  const who = of === "device" ? device : client;
  const to = world.client();
  const known = of === "device" ? {} : { clientBinding: newPerson(client.name, client.member, "client").binding };
  putBeforeProofOf(subjectOf(who), revoking(who));
  const message = sessionMessage(client, device, { message1: new Uint8Array(0), ...known });
  const frame = await to.request(client.x25519, message, { signal: patience() });
  if (frame.type !== "binding") expect.fail(frame.type);
  expect(kindOf(frame.statements.member)).toBe("revocation");
  demand(to, frame.proof, [who.name, who.statement], [subjectOf(who), frame.statements.member]);
});

test("a member that asks for its own statements, and is revoked meanwhile, is shown that", async () => {
  const to = world.client();
  putBeforeProofOf(subjectOf(client), revoking(client));
  const body = encodeOwnStatementsQuestion({ ...client, checkpointSize: 0 });
  const frame = await to.request(client.x25519, { type: REQUEST.ownStatements, body }, { signal: patience() });
  if (frame.type !== "binding") expect.fail(frame.type);
  expect(kindOf(frame.statements.member)).toBe("revocation");
  demand(to, frame.proof, [client.name, client.statement], [subjectOf(client), frame.statements.member]);
});

test("no ticket is made for a client that is revoked meanwhile", async () => {
  const link = await TestLink.open(world, device);
  putBeforeProofOf(subjectOf(client), revoking(client));
  expect(await only(send(world, client, sessionMessage(client, device)))).toMatchObject({ code: "E_REVOKED" });
  await link.close();
});

test("who is told that his statement is logged, though there is a newer one, is told to try again", async () => {
  const { statement } = verifyBinding(suite, client.binding, ed25519Line(client.owner.publicKey));
  const renewed = rebinding(client.owner, statement, client.binding);
  putBeforeProofOf(subjectOf(client), revocation(client.owner, renewed));
  await expect(put(renewed)).rejects.toMatchObject({ code: "E_BUSY" });
});

test("a device is told what stands about itself and its clients under the proof that it gets", async () => {
  const to = world.client();
  putBeforeProofOf(subjectOf(device), policy(device.owner, device.name, undefined));
  const link = await TestLink.open(world, device, { client: to });
  const own = (await link.event("own")).own;
  expect(own.policy).toBeDefined();
  const ofDevice = [
    [device.name, device.statement],
    [subjectOf(device), device.binding],
  ] as const;
  demand(to, own.proof, ...ofDevice, [policySubject(device), own.policy]);
  const again = (await link.event("own")).own;
  demand(to, again.proof, ...ofDevice, [policySubject(device), own.policy]);

  putBeforeProofOf(subjectOf(client), revoking(client));
  link.link.watch([client]);
  for (let told = 0; told < 2; told++) {
    const { changed } = await link.event("changed");
    expect(kindOf(changed.statements.member)).toBe("revocation");
    demand(to, changed.proof, [client.name, client.statement], [subjectOf(client), changed.statements.member]);
  }
  await link.close();
});

test("a request comes after the policy that was put meanwhile, and says what stands about its client", async () => {
  const to = world.client();
  const link = await TestLink.open(world, device, { client: to });
  const first = (await link.event("own")).own;
  to.acceptProof(first.proof);
  const signed = policy(device.owner, device.name, undefined);
  putBeforeProofOf(policySubject(device), signed);
  const frames = send(world, client, sessionMessage(client, device));
  await next(frames, "ticket");
  const { own } = await link.event("own");
  expect(own.policy?.text).toBe(signed.text);
  to.acceptProof(own.proof);
  const notify = await link.notified();
  const [rendezvous] = notify.rendezvous;
  demand(
    ...([to, notify.proof, [client.name, client.statement], [subjectOf(client), client.binding]] as const),
    ...([
      [policySubject(device), signed],
      ["rendezvous:rz1", rendezvous],
    ] as const),
  );
  await link.close();
});
