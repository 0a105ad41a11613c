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
import { verifyTicket } from "../../protocol/ticket.ts";
import { type Client, loadClient } from "../../sshnp/client-keys.ts";
import { lookUpDevice } from "../../sshnp/device-claim.ts";
import { DirectoryAccess } from "../../sshnp/directory-access.ts";
import type { Machine } from "../support/stack.ts";
import { Silence } from "./honest-client.ts";

const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));
const DEVICE = { name: parseName("@device"), member: parseMember("mygateway") };

/** A session that was asked for, and what may be done with it that no client of ours would do. */
export interface AskedSession {
  readonly initiator: SessionInitiator;
  /** As the directory signed it. */
  readonly ticket: Uint8Array;
  /** The device's answer, a refusal included, or what the directory said instead. */
  readonly answer: Promise<Frame | undefined>;
  /** A hello of either end, with whatever number. */
  readonly hello: (role: Role, dial: number) => Uint8Array;
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
  async ask(signal: AbortSignal): Promise<AskedSession | undefined> {
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
    const { prologue: prologueBytes, message1 } = initiator;
    const body = encodeSessionRequest({ prologueBytes, message1, waitSeconds: 0 });
    const frames = this.#access.client.send(keys.x25519, { type: REQUEST.session, body }, { signal });
    const first = await frames.next();
    if (first.done === true || first.value.type !== "ticket") return undefined;
    const { ticket } = first.value;
    const list = await this.#access.client.keyList({ signal });
    const [entry] = verifyTicket(suite, list.list.ticket, ticket).entries;
    if (entry === undefined) return undefined;
    const { sid, legKey } = initiator;
    return {
      initiator,
      ticket,
      answer: lastOf(frames),
      hello: (role, dial) =>
        encodeLegHello(suite, legKey, ticket, { rendezvous: entry.key, boot: entry.boot, sid, role, dial }),
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
