import { randomBytes } from "node:crypto";
import type { RandomBytes } from "../../keys/cipher-suite.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import type { Role } from "../../keys/names.ts";
import { encodeLegHello } from "../../protocol/leg-hello.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { encodeSessionRequest } from "../../protocol/messages/session-request.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import type { PeerClaim } from "../../protocol/peers.ts";
import { SessionInitiator } from "../../protocol/session/initiator.ts";
import { verifyBinding } from "../../protocol/statements.ts";
import { mlKem768 } from "../../protocol/suite/ml-kem.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { type TicketEntry, verifyTicket } from "../../protocol/ticket.ts";
import { dialLeg } from "../../rendezvous/client.ts";
import { type Client, loadClient } from "../../sshnp/client-keys.ts";
import { lookUpDevice } from "../../sshnp/device-claim.ts";
import { DirectoryAccess } from "../../sshnp/directory-access.ts";
import { openSession } from "../../sshnp/session.ts";
import type { Machine } from "../support/stack.ts";
import { Silence } from "./honest-client.ts";
import type { InterceptedLeg } from "./interceptor.ts";
import type { Target } from "./target.ts";

const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));
/** For one leg to be dialled and joined. */
const PATIENCE_MS = 15_000;
const DEVICE = { name: parseName("@device"), member: parseMember("mygateway") };

/** A session that was asked for, and what may be done with it that no client of ours would do. */
export interface AskedSession {
  readonly initiator: SessionInitiator;
  /** As the directory signed it. */
  readonly ticket: Uint8Array;
  readonly entries: readonly TicketEntry[];
  /** The device's answer, a refusal included, or what the directory said instead. */
  readonly answer: Promise<Frame | undefined>;
  /** A hello of either end, with whatever number. */
  readonly hello: (role: Role, dial: number) => Uint8Array;
}

/** A session of ours that goes through the hands of an attacker. */
export interface VictimSession {
  /** True, once anything of the device's SSH server has arrived. */
  readonly received: Promise<boolean>;
  /** False, once the session has ended. */
  readonly ended: Promise<boolean>;
  close(): Promise<void>;
}

/** A client member whose keys an attacker holds, by stealing them or as their owner. */
export class AttackingMember {
  readonly #client: Client;
  readonly #access: DirectoryAccess;
  readonly #device: PeerClaim;

  static async of(machine: Machine, directory: string): Promise<AttackingMember> {
    const client = await loadClient(suite, machine.keys, undefined, () => Promise.reject(new Error("no passphrase")));
    const progress = new Silence();
    const access = await DirectoryAccess.of(suite, random, client, directory, progress);
    const { keys, binding } = client;
    const self = { name: keys.name, member: keys.member, bindingHash: binding.hash };
    const attempt = { client: keys.name, device: DEVICE, directory };
    const about = { attempt, self, device: DEVICE };
    const signal = AbortSignal.timeout(20_000);
    const device = await lookUpDevice(access.client, keys.x25519, about, { signal, progress });
    return new AttackingMember(client, access, device);
  }

  private constructor(client: Client, access: DirectoryAccess, device: PeerClaim) {
    this.#client = client;
    this.#access = access;
    this.#device = device;
  }

  /** Asks the device for a session and resolves as soon as there is a ticket; undefined when there is none. */
  async ask(
    signal: AbortSignal,
    onBegin: (initiator: SessionInitiator) => void = () => {},
  ): Promise<AskedSession | undefined> {
    const { keys, binding } = this.#client;
    const { name, member } = keys;
    const verified = verifyBinding(suite, this.#device.binding, ownerOf(this.#device));
    const initiator = new SessionInitiator(
      { suite, kem: mlKem768, random },
      { client: keys.x25519, device: verified.statement.x25519 },
      {
        client: { name, member, bindingHash: binding.hash },
        device: { ...DEVICE, bindingHash: verified.hash },
        service: "ssh",
        login: "",
        sshKey: undefined,
      },
    );
    onBegin(initiator);
    const { prologue: prologueBytes, message1 } = initiator;
    const body = encodeSessionRequest({ prologueBytes, message1, waitSeconds: 0 });
    const frames = this.#access.client.send(keys.x25519, { type: REQUEST.session, body }, { signal });
    const first = await frames.next();
    if (first.done === true || first.value.type !== "ticket") return undefined;
    const { ticket } = first.value;
    const list = await this.#access.client.keyList({ signal });
    const { entries } = verifyTicket(suite, list.list.ticket, ticket);
    const [entry] = entries;
    if (entry === undefined) return undefined;
    const { sid, legKey } = initiator;
    return {
      initiator,
      ticket,
      entries,
      answer: lastOf(frames),
      hello: (role, dial) =>
        encodeLegHello(suite, legKey, ticket, { rendezvous: entry.key, boot: entry.boot, sid, role, dial }),
    };
  }

  /**
   * Opens a session as our client does, from the device's answer on. Its legs are handed to `take`, the device's as well.
   * Undefined when `signal` was aborted before.
   */
  async open(
    target: Target,
    signal: AbortSignal,
    take: (leg: InterceptedLeg) => void,
  ): Promise<VictimSession | undefined> {
    const release: (() => void)[] = [];
    const asked = await this.ask(signal, ({ sid }) => release.push(target.interceptor.claim(sid, take))).catch(
      (error: unknown) => {
        if (!signal.aborted) throw error;
      },
    );
    const answer = await asked?.answer;
    if (asked === undefined || answer?.type !== "answer") {
      for (const end of release) end();
      if (!signal.aborted) throw new Error(`the device did not answer: ${JSON.stringify(answer)}`);
      return undefined;
    }
    const { initiator, ticket } = asked;
    const { payload, keys } = initiator.readMessage2(answer.message2, ticket);
    if (payload.refusal !== undefined) throw new Error(`the device refused: ${payload.refusal.reason}`);
    const { sid, legKey } = initiator;
    let dials = 0;
    const leg = await dialLeg({
      ...{ suite, ticket, entries: asked.entries, sid, legKey, role: "client" },
      nextDial: () => ++dials,
      allowPrivate: true,
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const attempt = { client: this.#client.keys.name, device: DEVICE, directory: target.stack.address };
    const session = openSession(suite, attempt, { keys, limits: payload.limits }, leg, new Silence());
    session.stream.on("error", () => {});
    return {
      received: new Promise((resolve) => session.stream.once("data", () => resolve(true))),
      ended: session.ended.then(() => false),
      async close() {
        await session.close();
        for (const end of release) end();
      },
    };
  }
}

function ownerOf({ nameStatement }: PeerClaim): string {
  return (JSON.parse(nameStatement.text) as { readonly owner: string }).owner;
}

async function lastOf(frames: AsyncGenerator<Frame, void, void>): Promise<Frame | undefined> {
  let last: Frame | undefined;
  try {
    for await (const frame of frames) last = frame;
  } catch {
    return undefined; // cut off with the attack
  }
  return last;
}
