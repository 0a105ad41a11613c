import { setImmediate as othersTurn } from "node:timers/promises";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { utf8 } from "../keys/bytes.ts";
import { SshnpError } from "../keys/errors.ts";
import { isMember } from "../keys/names.ts";
import type { Fingerprint } from "../keys/openssh.ts";
import type { SignedText } from "../keys/signed-text.ts";
import { verifySshsig } from "../keys/sshsig.ts";
import type { X25519PublicKey } from "../keys/x25519.ts";
import { LOG_PROOF_SUBJECTS, READING_MS, RESPONSE_FRAME_BYTES } from "../protocol/limits.ts";
import {
  parseReadStatements,
  type ReadStatements,
  READING_NAMESPACE,
  readingProof,
} from "../protocol/messages/read-statements.ts";
import type { Frame } from "../protocol/messages/response-frames.ts";
import { verifyChainOf } from "../protocol/owner-chain.ts";
import type { OpenedMessage } from "../protocol/sealed-message.ts";
import { subjectOf } from "../protocol/statement-fields.ts";
import type { Clock } from "./clock.ts";
import { LinkProofs } from "./link-proofs.ts";
import type { Log } from "./log/log.ts";
import type { ResponseStream } from "./response-stream.ts";
import { memberStanding } from "./standing.ts";
import type { Store } from "./store.ts";

interface Services {
  readonly suite: CipherSuite;
  readonly store: Store;
  readonly statementLog: Pick<Log, "proof" | "proves">;
  /** Of the directory's root key. */
  readonly fingerprint: Fingerprint;
}

/** Answers questions for statements. */
export class StatementQuestions {
  readonly #services: Services & { readonly clock: Pick<Clock, "every"> };
  /** Whose are being answered, by their keys. */
  readonly #asking = new Set<string>();

  constructor(services: Services & { readonly clock: Pick<Clock, "every"> }) {
    this.#services = services;
  }

  /** @throws {PeerError} when it does not parse; {UnavailableError} E_STORAGE. */
  async answer(
    { body, sender }: Pick<OpenedMessage, "body" | "sender">,
    stream: Pick<ResponseStream, "send" | "drained" | "end" | "cut" | "isOpen">,
  ): Promise<void> {
    const question = parseReadStatements(body);
    // A name that is unknown is answered as one that is somebody else's.
    if (!(await mayRead(this.#services, question, sender))) {
      return stream.end({ type: "refused", code: "E_NOT_AUTHORIZED", detail: 0 });
    }
    // Not one at a time for a name: any member could then keep its owner from revoking it.
    const key = sender.toJSON();
    if (this.#asking.has(key)) return stream.end({ type: "refused", code: "E_BUSY", detail: 1000 });
    this.#asking.add(key);
    const stop = this.#services.clock.every(READING_MS, () => stream.cut());
    try {
      for await (const frame of readStatements(this.#services, question)) {
        if (frame.type === "refused") return stream.end(frame);
        stream.send(frame);
        await stream.drained();
        if (!stream.isOpen) return;
      }
    } finally {
      stop();
      this.#asking.delete(key);
    }
    stream.end({ type: "done" });
  }
}

/** Whether the sender may read what stands about a name: a member of it that is not revoked, or its owner. @throws {UnavailableError} E_STORAGE. */
export async function mayRead(
  { suite, store, fingerprint }: Services,
  { name, ownerSignature }: Pick<ReadStatements, "name" | "ownerSignature">,
  sender: X25519PublicKey,
): Promise<boolean> {
  if (ownerSignature.length === 0) {
    const [of, member = ""] = (await store.keyHolder(sender))?.split("/") ?? [];
    const standing = of === name && isMember(member) ? await memberStanding(store, { name, member }) : undefined;
    return standing?.record.x25519.equals(sender) === true && !standing.isRevoked;
  }
  const record = await store.name(name);
  if (record === undefined || record.statements.length === 0) return false;
  try {
    const { owner } = verifyChainOf(suite, name, record.statements);
    const message = readingProof(fingerprint, name, sender);
    return verifySshsig(suite, ownerSignature, READING_NAMESPACE, message) === owner;
  } catch (error) {
    if (error instanceof SshnpError) return false;
    throw error;
  }
}

/**
 * The statements that were asked for, some in each frame. They are read as they are asked for, and others come to be answered
 * in between, however many there are. The last is a refusal, to ask again, when one of them was not the newest any more.
 * @throws {UnavailableError} E_STORAGE.
 */
export async function* readStatements(
  { suite, store, statementLog }: Pick<Services, "suite" | "store" | "statementLog">,
  { name, what, checkpointSize }: Pick<ReadStatements, "name" | "what" | "checkpointSize">,
): AsyncGenerator<Frame, void, void> {
  const proofs = new LinkProofs(checkpointSize);
  for await (const statements of pages(what === "newest" ? store.newest(name) : store.past(name))) {
    let proof: Uint8Array = new Uint8Array(0);
    if (what === "newest") {
      const subjects = statements.map(subjectOf);
      const made = await statementLog.proof(subjects, proofs.seen);
      const hashes = statements.map(({ text }) => suite.sha256(utf8(text)));
      // Something was said since they were read, and under the newer checkpoint they would look like a lie.
      if (!statementLog.proves(made, subjects, hashes)) return yield { type: "refused", code: "E_BUSY", detail: 100 };
      proof = proofs.sent(made);
    }
    yield { type: "statements", statements, proof };
    await othersTurn();
  }
}

/** As many together as a frame and a proof hold. */
async function* pages(read: AsyncIterable<readonly SignedText[]>): AsyncGenerator<SignedText[], void, void> {
  let page: SignedText[] = [];
  let bytes = 0;
  for await (const statements of read) {
    for (const statement of statements) {
      const length = Buffer.byteLength(statement.text) + statement.signature.length;
      if (page.length === LOG_PROOF_SUBJECTS || bytes + length > RESPONSE_FRAME_BYTES / 2) {
        yield page;
        page = [];
        bytes = 0;
      }
      page.push(statement);
      bytes += length;
    }
  }
  yield page;
}
