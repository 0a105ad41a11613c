import type { DirectoryClient } from "../../directory/client.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { type Name, parseMember, type Role } from "../../keys/names.ts";
import { signSshsig } from "../../keys/sshsig.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import {
  type Applicant,
  DENIAL_NAMESPACE,
  denialProof,
  enrolmentProof,
  type OneTimePassword,
  oneTimePasswordText,
} from "../../protocol/enrolment.ts";
import {
  encodeEnrolmentDenial,
  encodeEnrolmentRequest,
  encodeEnrolmentsQuestion,
  encodeOwnStatementsQuestion,
  encodePutPassword,
  type EnrolmentRequest,
} from "../../protocol/messages/enrolment.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { delegationText } from "../../protocol/owner-statements.ts";
import { signWith } from "../../protocol/statement-fields.ts";
import { signFirstBinding } from "../../protocol/statements.ts";
import { patience, type Person, putMessage, random, suite } from "./world.ts";

const HOUR = 3_600_000;

/** A machine that wants to become a member. */
export interface TestApplicant {
  readonly x25519: X25519PrivateKey;
  readonly ed25519: Ed25519PrivateKey;
  readonly public: Applicant;
}

export function newApplicant(
  name: Name,
  member: string,
  role: Role = "device",
  { x25519 = X25519PrivateKey.generate(suite, random), ed25519 = Ed25519PrivateKey.generate(suite, random) } = {},
): TestApplicant {
  const keys = { x25519: x25519.publicKey, ed25519: ed25519.publicKey };
  return { x25519, ed25519, public: { name, member: parseMember(member), role, ...keys } };
}

/** What a directory gets of a one-time password, and the key that the password stands for. */
export function newPassword(
  { name, owner }: Pick<Person, "name" | "owner">,
  fields: Partial<OneTimePassword> = {},
  key: Ed25519PrivateKey = Ed25519PrivateKey.generate(suite, random),
) {
  const issued = fields.issued ?? Date.now();
  const password = { name, key: key.publicKey, role: null, pattern: null, issued, expires: issued + HOUR, ...fields };
  const signed = signWith(suite, owner, oneTimePasswordText(random, password));
  return { key, signed, message: { type: REQUEST.putPassword, body: encodePutPassword(signed) } };
}

/** The key of a one-time password that the directory has taken. */
export async function givePassword(
  client: DirectoryClient,
  owner: Person,
  fields: Partial<OneTimePassword> = {},
): Promise<Ed25519PrivateKey> {
  const { key, message } = newPassword(owner, fields);
  await client.request(owner.x25519, message, { signal: patience() });
  return key;
}

export async function enrolMessage(
  client: DirectoryClient,
  applicant: TestApplicant,
  key: Ed25519PrivateKey,
  changes: Partial<EnrolmentRequest> = {},
) {
  const { nonce } = await askNonce(client, applicant);
  const proof = enrolmentProof({ nonce, directoryFingerprint: client.address.fingerprint }, applicant.public);
  const body = encodeEnrolmentRequest({
    ...applicant.public,
    nonce,
    passwordKey: key.publicKey,
    passwordSignature: suite.sign(key, proof),
    ownSignature: suite.sign(applicant.ed25519, proof),
    checkpointSize: 0,
    isWaiting: false,
    ...changes,
  });
  return { type: REQUEST.enrol, body };
}

async function askNonce(client: DirectoryClient, { x25519, public: { name } }: TestApplicant) {
  const { encodeActivationStart } = await import("../../protocol/messages/activation.ts");
  const start = { type: REQUEST.activationStart, body: encodeActivationStart(name) };
  const frame = await client.request(x25519, start, { signal: patience() });
  if (frame.type !== "activation") throw new Error(`the directory answers ${frame.type}`);
  return frame;
}

export async function enrol(
  client: DirectoryClient,
  applicant: TestApplicant,
  key: Ed25519PrivateKey,
  changes: Partial<EnrolmentRequest> = {},
): Promise<Frame> {
  const message = await enrolMessage(client, applicant, key, changes);
  return await client.request(applicant.x25519, message, { signal: patience() });
}

/** The owner's binding of an applicant. */
export function bindingOf({ owner }: Pick<Person, "owner">, applicant: TestApplicant) {
  return signFirstBinding(suite, random, owner, { ...applicant.public, issued: Date.now(), expires: null });
}

export async function approve(client: DirectoryClient, owner: Person, applicant: TestApplicant): Promise<Frame> {
  return await client.request(owner.x25519, putMessage(bindingOf(owner, applicant)), { signal: patience() });
}

export async function deny(
  client: DirectoryClient,
  owner: Pick<Person, "owner" | "x25519">,
  { public: applicant }: TestApplicant,
): Promise<Frame> {
  const proof = denialProof(client.address.fingerprint, applicant);
  const ownerSignature = signSshsig(suite, owner.owner, DENIAL_NAMESPACE, proof);
  const body = encodeEnrolmentDenial({ ...applicant, ownerSignature });
  return await client.request(owner.x25519, { type: REQUEST.denyEnrolment, body }, { signal: patience() });
}

/** The members who wait, as a member sees them. */
export async function pendingMembers(client: DirectoryClient, { name, x25519 }: Person): Promise<string[]> {
  const body = encodeEnrolmentsQuestion({ name, ownerSignature: new Uint8Array(0) });
  const members: string[] = [];
  for await (const frame of client.send(x25519, { type: REQUEST.readEnrolments, body }, { signal: patience() })) {
    if (frame.type === "refused") throw new Error(frame.code);
    if (frame.type === "enrolments") members.push(...frame.entries.map(({ member }) => member));
  }
  return members;
}

export async function ownStatements(client: DirectoryClient, { x25519, public: { name, member } }: TestApplicant) {
  const body = encodeOwnStatementsQuestion({ name, member, checkpointSize: 0 });
  return await client.request(x25519, { type: REQUEST.ownStatements, body }, { signal: patience() });
}

/** A delegation of the owner's that the directory has taken, and its key. */
export async function giveToken(
  client: DirectoryClient,
  owner: Person,
  fields: Partial<Parameters<typeof delegationText>[1]> = {},
) {
  const key = Ed25519PrivateKey.generate(suite, random);
  const id = Buffer.from(random(8)).toString("hex");
  const issued = Date.now();
  const text = delegationText(random, {
    ...{ name: owner.name, id, key: key.publicKey, role: "device", pattern: "gw-*", uses: 1 },
    ...{ seq: 1, prev: null, issued, expires: issued + HOUR },
    ...fields,
  });
  const signed = signWith(suite, owner.owner, text);
  await client.request(owner.x25519, putMessage(signed), { signal: patience() });
  return { key, id, signed };
}
