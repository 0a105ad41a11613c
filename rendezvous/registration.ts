import * as v from "valibot";
import { DirectoryClient } from "../directory/client.ts";
import { activationKey } from "../keys/activation-key.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { DeniedError, PeerError, SetupError } from "../keys/errors.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import type { Secret } from "../keys/secret.ts";
import type { RendezvousKeys } from "../keys/service-key-files.ts";
import { type SignedText, signedTextFromJson, signedTextSchema, signedTextToJson } from "../keys/signed-text.ts";
import { readState, writeState } from "../keys/state-files.ts";
import type { DirectoryAddress } from "../protocol/directory-address.ts";
import { type VerifiedKeyList, verifyKeyList } from "../protocol/key-list.ts";
import {
  encodeRendezvousActivation,
  encodeRendezvousActivationStart,
  encodeRendezvousReport,
  RENDEZVOUS_ACTIVATION,
  rendezvousActivationProof,
} from "../protocol/messages/activation.ts";
import { REQUEST } from "../protocol/messages/types.ts";
import { verifyRendezvousStatement } from "../protocol/statements.ts";

interface Surroundings {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly folder: PrivateFolder;
  readonly directory: DirectoryAddress;
  readonly keys: RendezvousKeys;
  /** Told of every newer key list. */
  readonly onKeyList: (list: VerifiedKeyList) => void;
}

/**
 * A rendezvous' dealings with its directory: it is activated once, reports from then on, and remembers the key list, so
 * that after a restart it serves without the directory.
 */
export class Registration {
  readonly #surroundings: Surroundings;
  readonly #client: DirectoryClient;
  #keyList: VerifiedKeyList | undefined;
  #statement: SignedText | undefined;

  private constructor(surroundings: Surroundings, remembered: Remembered) {
    this.#surroundings = surroundings;
    this.#keyList = remembered.keyList;
    this.#statement = remembered.statement;
    const { suite, random, directory: address } = surroundings;
    const onKeyList = (list: VerifiedKeyList): void => {
      this.#keyList = list;
      surroundings.onKeyList(list);
      void this.#remember();
    };
    this.#client = new DirectoryClient({ address, suite, random, keyList: remembered.keyList, onKeyList });
  }

  /** @throws {SetupError} E_BAD_KEY_FILE, E_KEY_PERMISSIONS; {SecurityError} E_DIRECTORY_KEY when the directory is another. */
  static async open(surroundings: Surroundings): Promise<Registration> {
    return new Registration(surroundings, await readRemembered(surroundings));
  }

  /** The key list last seen. */
  get keyList(): VerifiedKeyList | undefined {
    return this.#keyList;
  }

  /** What the directory calls this rendezvous; undefined before it is activated. */
  get name(): string | undefined {
    if (this.#statement === undefined || this.#keyList === undefined) return undefined;
    const { suite } = this.#surroundings;
    return verifyRendezvousStatement(suite, this.#statement, this.#keyList.root).statement.rendezvous;
  }

  /**
   * Turns the one-time secret into a place in the directory. The same keys again are no harm.
   * @throws {DeniedError} E_CRAM_WRONG, E_CRAM_USED; as {@link DirectoryClient.request}.
   */
  async activate(secret: Secret, addresses: readonly string[], signal: AbortSignal): Promise<void> {
    const { suite, keys, directory } = this.#surroundings;
    const key = activationKey(suite, secret, RENDEZVOUS_ACTIVATION);
    const start = { type: REQUEST.rendezvousActivationStart, body: encodeRendezvousActivationStart(key.publicKey) };
    const challenge = await this.#client.request(keys.x25519, start, { signal });
    if (challenge.type !== "activation") throw new PeerError("E_PROTOCOL", "The directory answers out of turn.");
    const { nonce } = challenge;
    const identity = { x25519: keys.x25519.publicKey, ed25519: keys.ed25519.publicKey };
    const proof = rendezvousActivationProof({ nonce, directoryFingerprint: directory.fingerprint }, identity);
    const body = encodeRendezvousActivation({
      ...identity,
      nonce,
      activationKey: key.publicKey,
      addresses,
      activationSignature: suite.sign(key, proof),
      ownSignature: suite.sign(keys.ed25519, proof),
    });
    await this.#tell(REQUEST.rendezvousActivate, body, signal);
  }

  /** Says that it is there. @throws as {@link DirectoryClient.request}; {SetupError} E_NOT_ACTIVATED. */
  async report(
    report: { readonly boot: Uint8Array; readonly legs: number; readonly addresses: readonly string[] },
    signal: AbortSignal,
  ): Promise<void> {
    await this.#tell(REQUEST.rendezvousReport, encodeRendezvousReport(report), signal);
  }

  /** Asks for the key list of now. Throws as {@link DirectoryClient.fetchKeyList}. */
  async fetchKeyList(signal: AbortSignal): Promise<VerifiedKeyList> {
    return await this.#client.fetchKeyList({ signal });
  }

  async #tell(type: number, body: Uint8Array, signal: AbortSignal): Promise<void> {
    const { suite, keys } = this.#surroundings;
    const answer = await this.#client.request(keys.x25519, { type, body }, { signal });
    if (answer.type !== "rendezvous") throw new PeerError("E_PROTOCOL", "The directory answers out of turn.");
    const { root } = await this.#client.keyList({ signal });
    const { statement } = verifyRendezvousStatement(suite, answer.statement, root);
    if (!statement.ed25519.equals(keys.ed25519.publicKey)) {
      throw new DeniedError("E_NOT_ACTIVATED", "The directory's statement is about another rendezvous.");
    }
    if (answer.statement.text === this.#statement?.text) return;
    this.#statement = answer.statement;
    await this.#remember();
  }

  async #remember(): Promise<void> {
    if (this.#keyList === undefined) return;
    const { signed } = this.#keyList;
    const statement = this.#statement === undefined ? null : signedTextToJson(this.#statement);
    await writeState(this.#surroundings.folder, STATE_FILE, schema, { v: 1, keyList: signedTextToJson(signed), statement });
  }
}

interface Remembered {
  readonly keyList: VerifiedKeyList | undefined;
  readonly statement: SignedText | undefined;
}

const STATE_FILE = "registration.json";
const schema = v.strictObject({
  v: v.literal(1),
  keyList: signedTextSchema,
  statement: v.nullable(signedTextSchema),
});

async function readRemembered({ suite, folder, directory }: Surroundings): Promise<Remembered> {
  const state = await readState(folder, STATE_FILE, schema);
  if (state === undefined) return { keyList: undefined, statement: undefined };
  const keyList = verifyKeyList(suite, signedTextFromJson(state.keyList), directory.fingerprint);
  return { keyList, statement: state.statement === null ? undefined : signedTextFromJson(state.statement) };
}

/** What to do when neither an activation from before nor a secret is there. */
export function noSecret(): SetupError {
  return new SetupError("E_NOT_ACTIVATED", "This rendezvous is not activated, and no secret is given.", {
    next: "Give the one-time secret with -c, --cram-file or SSHNP_CRAM: sshnp-directory rendezvous add NAME prints it.",
  });
}
