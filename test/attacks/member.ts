import { randomBytes } from "node:crypto";
import type { RandomBytes } from "../../keys/cipher-suite.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import type { Role } from "../../keys/names.ts";
import { encodeLegHello } from "../../protocol/leg-hello.ts";
import { encodePrologue } from "../../protocol/messages/prologue.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { encodeSessionRequest } from "../../protocol/messages/session-request.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import type { RefusalCode } from "../../protocol/refusal-codes.ts";
import { SessionInitiator } from "../../protocol/session/initiator.ts";
import type { Verified } from "../../protocol/statement-fields.ts";
import { type Binding, verifyBinding } from "../../protocol/statements.ts";
import { mlKem768 } from "../../protocol/suite/ml-kem.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { type TicketEntry, verifyTicket } from "../../protocol/ticket.ts";
import { dialLeg } from "../../rendezvous/client.ts";
import { type Client, loadClient } from "../../sshnp/client-keys.ts";
import { lookUpDevice } from "../../sshnp/device-claim.ts";
import { DirectoryAccess } from "../../sshnp/directory-access.ts";
import type { StatementsOutcome } from "../../sshnp/request-session.ts";
import { openSession } from "../../sshnp/session.ts";
import { Silence } from "./honest-client.ts";
import type { InterceptedLeg } from "./interceptor.ts";
import type { Target } from "./target.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";

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

/** What the directory said instead of giving a ticket. */
export interface Refused {
  readonly refused: RefusalCode | undefined;
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
  readonly #deviceBinding: Verified<Binding>;
  #worn: SessionInitiator | undefined;

  static async of(keysFolder: string, directory: string): Promise<AttackingMember> {
    const client = await loadClient(suite, keysFolder, undefined, () => Promise.reject(new Error("no passphrase")));
    const progress = new Silence();
    const access = await DirectoryAccess.of(suite, random, client, {
      stated: parseDirectoryAddress(directory),
      progress,
    });
    const { keys, standing } = client;
    const self = { name: keys.name, member: keys.member, bindingHash: standing.binding.hash };
    const attempt = { client: keys.name, device: DEVICE, login: "", directory };
    const about = { attempt, self, device: DEVICE };
    const signal = AbortSignal.timeout(20_000);
    const device = await lookUpDevice(access.client, keys.x25519, about, { signal, progress });
    return new AttackingMember(client, access, verifyBinding(suite, device.statements.member, ownerOf(device)));
  }

  private constructor(client: Client, access: DirectoryAccess, deviceBinding: Verified<Binding>) {
    this.#client = client;
    this.#access = access;
    this.#deviceBinding = deviceBinding;
  }

  #initiate(): SessionInitiator {
    const { keys, standing } = this.#client;
    const { name, member } = keys;
    return new SessionInitiator(
      { suite, kem: mlKem768, random },
      { client: keys.x25519, device: this.#deviceBinding.statement.x25519 },
      {
        client: { name, member, bindingHash: standing.binding.hash },
        device: { ...DEVICE, bindingHash: this.#deviceBinding.hash },
        service: "ssh",
        login: "",
        sshKey: undefined,
        checkpoint: "",
      },
    );
  }

  /** Asks the device for a session and resolves as soon as there is a ticket, or none. */
  async ask(
    signal: AbortSignal,
    onBegin: (initiator: SessionInitiator) => void = () => {},
  ): Promise<AskedSession | Refused> {
    const { keys } = this.#client;
    const initiator = this.#initiate();
    onBegin(initiator);
    const { prologue: prologueBytes, message1 } = initiator;
    const body = encodeSessionRequest({
      prologueBytes,
      message1,
      waitSeconds: 0,
      checkpointSize: 0,
      distances: new Map(),
    });
    const frames = this.#access.client.send(keys.x25519, { type: REQUEST.session, body }, { signal });
    const first = await frames.next();
    if (first.done === true || first.value.type !== "ticket") {
      return { refused: first.value?.type === "refused" ? first.value.code : undefined };
    }
    const { ticket } = first.value;
    const list = await this.#access.client.keyList({ signal });
    const { entries } = verifyTicket(suite, list.list.ticket, ticket);
    const [entry] = entries;
    if (entry === undefined) return { refused: undefined };
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
   * Asks for a session that will come to nothing, at a cost to whoever asks that is as small as can be: `again` for the
   * same session, which costs nobody but the directory, or `anew`, with a msg1 that was for another one. Resolves to the
   * first thing that the directory says.
   */
  async knock(what: "anew" | "again", signal: AbortSignal): Promise<Frame | undefined> {
    const { name, member } = this.#client.keys;
    this.#worn ??= this.#initiate();
    const { message1, legKey } = this.#worn;
    const sid = what === "again" ? this.#worn.sid : random(16);
    const prologueBytes = encodePrologue({
      ...{ service: "ssh", login: "", sid, legKey: legKey.publicKey },
      client: { name, member, bindingHash: this.#client.standing.binding.hash },
      device: { ...DEVICE, bindingHash: this.#deviceBinding.hash },
    });
    const body = encodeSessionRequest({
      prologueBytes,
      message1,
      waitSeconds: 0,
      checkpointSize: 0,
      distances: new Map(),
    });
    const frames = this.#access.client.send(this.#client.keys.x25519, { type: REQUEST.session, body }, { signal });
    const first = await frames.next();
    void lastOf(frames);
    return first.value ?? undefined;
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
      (error: unknown): Refused => {
        if (!signal.aborted) throw error;
        return { refused: undefined };
      },
    );
    const answer = "refused" in asked ? asked : await asked.answer;
    if ("refused" in asked || answer === undefined || "refused" in answer || answer.type !== "answer") {
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
    const attempt = { client: this.#client.keys.name, device: DEVICE, login: "", directory: target.stack.address };
    const session = openSession(suite, attempt, { keys, limits: payload.limits }, leg, new Silence());
    const stream = session.open("ssh", { only: true });
    stream.on("error", () => {});
    return {
      received: new Promise((resolve) => stream.once("data", () => resolve(true))),
      ended: session.ended.then(() => false),
      async close() {
        await session.close();
        for (const end of release) end();
      },
    };
  }
}

function ownerOf({ statements }: StatementsOutcome): string {
  return (JSON.parse(statements.names[0]?.text ?? "") as { readonly owner: string }).owner;
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
