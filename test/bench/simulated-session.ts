/**
 * The two ends of a session, as the directory and the rendezvous see them: real requests, tickets, answers and legs. What only the
 * two ends see is left out, for it costs nobody else anything: msg1 and msg2 are of the right length and hold nothing but the
 * leg key, and the first byte comes from the device itself and not from an SSH server.
 */
import { once } from "node:events";
import type { DirectoryClient, Link, LinkEvent } from "../../directory/client.ts";
import { utf8 } from "../../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { SshnpError } from "../../keys/errors.ts";
import type { MemberName, Name, Role } from "../../keys/names.ts";
import type { X25519PrivateKey } from "../../keys/x25519.ts";
import { encodePrologue, type Party } from "../../protocol/messages/prologue.ts";
import { encodeSessionRequest } from "../../protocol/messages/session-request.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { verifyTicket } from "../../protocol/ticket.ts";
import { dialLeg, type Leg } from "../../rendezvous/client.ts";

const MESSAGE1_BYTES = 1_500; // with a leg key's seed ahead
const MESSAGE2_BYTES = 1_500;
const SEED_BYTES = 32;

export interface Primitives {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
}

/** A device as a caller knows it. */
export type Callee = Omit<Party, "bindingHash"> & { bindingHash: Uint8Array };

/** Whoever asks for sessions. */
export interface Caller {
  readonly client: DirectoryClient;
  readonly sender: X25519PrivateKey;
  readonly party: Party;
}

/** Milliseconds from the request to the first byte that the device has sent through the rendezvous. @throws {SshnpError} why there is none. */
export async function connectOnce(
  { suite, random }: Primitives,
  caller: Caller,
  device: Callee,
  signal: AbortSignal,
  isFirst = true,
): Promise<number> {
  const { client } = caller;
  const begin = performance.now();
  const legKey = Ed25519PrivateKey.generate(suite, random);
  const sid = random(16);
  const names = { client: caller.party, device, service: "ssh", login: "" };
  const prologueBytes = encodePrologue({ ...names, sid, legKey: legKey.publicKey });
  const message1 = Uint8Array.of(...legKey.secretBytes(), ...random(MESSAGE1_BYTES - SEED_BYTES));
  const asked = { prologueBytes, message1, waitSeconds: 0, checkpointSize: 0, distances: new Map() };
  const request = { type: REQUEST.session, body: encodeSessionRequest(asked) };
  let leg: Promise<Leg> | undefined;
  let isAnswered = false;
  let newer: Uint8Array | undefined;
  try {
    for await (const frame of client.send(caller.sender, request, { signal })) {
      if (frame.type === "refused") throw new RefusedError(frame.code);
      if (frame.type === "ticket") {
        leg = dial({ suite, random }, client, { ticket: frame.ticket, sid, legKey, role: "client" }, signal);
        leg.catch(() => {}); // told below
      }
      if (frame.type === "answer") isAnswered = true;
      if (frame.type === "binding") newer = suite.sha256(utf8(frame.statements.member.text));
      if (frame.type === "deviceCode") throw new RefusedError(frame.code);
    }
    if (newer !== undefined && isFirst) {
      device.bindingHash = newer; // of a device whose keys are others by now
      return await connectOnce({ suite, random }, caller, device, signal, false);
    }
    if (leg === undefined || !isAnswered) throw new RefusedError("no answer");
    const { socket } = await leg;
    await once(socket, "readable", { signal });
    return performance.now() - begin;
  } finally {
    leg?.then(({ socket }) => socket.destroy()).catch(() => {});
  }
}

/** A device's part of it: answers, dials, and sends one byte when the two legs are joined. */
export async function serveRequest(
  primitives: Primitives,
  client: DirectoryClient,
  link: Link,
  { notify }: Extract<LinkEvent, { type: "notify" }>,
  signal: AbortSignal,
): Promise<void> {
  const { sid } = notify.prologue;
  link.answer({ sid, message2: primitives.random(MESSAGE2_BYTES) });
  const legKey = Ed25519PrivateKey.parse(primitives.suite, notify.message1.slice(0, SEED_BYTES));
  const leg = await dial(primitives, client, { ticket: notify.ticket, sid, legKey, role: "device" }, signal);
  await leg.joined;
  leg.socket.write("S");
  leg.socket.resume();
  await once(leg.socket, "end", { signal }).finally(() => leg.socket.destroy());
}

/** A refusal that came sealed. */
class RefusedError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(`refused: ${code}`);
    this.code = code;
  }
}

/** What a failed connect is counted under. */
export function failureCode(error: unknown): string {
  if (error instanceof RefusedError || error instanceof SshnpError) return error.code;
  return error instanceof Error ? error.name : "unknown";
}

/** Whose bindings they are. */
export function partyOf(
  { suite }: Primitives,
  {
    name,
    member,
    binding,
  }: { readonly name: Name; readonly member: MemberName; readonly binding: { readonly text: string } },
): Party {
  return { name, member, bindingHash: suite.sha256(utf8(binding.text)) };
}

async function dial(
  { suite }: Primitives,
  client: DirectoryClient,
  own: {
    readonly ticket: Uint8Array;
    readonly sid: Uint8Array;
    readonly legKey: Ed25519PrivateKey;
    readonly role: Role;
  },
  signal: AbortSignal,
): Promise<Leg> {
  const { list } = await client.keyList({ signal });
  const { entries } = verifyTicket(suite, list.ticket, own.ticket);
  let dials = 0;
  return await dialLeg({ ...own, suite, entries, nextDial: () => ++dials, allowPrivate: true, signal });
}
