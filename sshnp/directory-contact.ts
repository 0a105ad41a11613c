import { randomBytes } from "node:crypto";
import {
  answerDeadline,
  listRendezvous,
  readWitnessDemand,
  type WitnessDemand,
  type WitnessOptions,
} from "../directory/client.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { PeerError, type SshnpError } from "../keys/errors.ts";
import { CONTACT_MS } from "../protocol/limits.ts";
import { encodeOwnStatementsQuestion } from "../protocol/messages/enrolment.ts";
import { REQUEST } from "../protocol/messages/types.ts";
import { judgeOwn, type OwnStanding } from "../protocol/own-standing.ts";
import type { RendezvousStatement } from "../protocol/statements.ts";
import { type Client, ownKeys } from "./client-keys.ts";
import { DirectoryAccess, statedAddress } from "./directory-access.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import { ownEndTrouble } from "./own-end-texts.ts";
import { Silence } from "./progress.ts";

/** What one client of this machine finds when it asks its directory about itself. */
export interface DirectoryContact {
  /** Who asked. */
  readonly client: Client;
  readonly directory: DirectoryAccess;
  /** Whether the key list is signed by the root key of the address. */
  readonly keyList: Outcome<{ readonly expires: number }>;
  /** What the log proves of this client, under a checkpoint that continues the one seen before; undefined: it was not shown. */
  readonly log: Outcome<LogState> | undefined;
  /** How the client stands by its newest statements; undefined: the directory did not say. */
  readonly own: Outcome<OwnStanding> | undefined;
  /** Those that a ticket would name now; undefined: it was not asked. */
  readonly rendezvous: Outcome<readonly RendezvousStatement[]> | undefined;
}

export interface LogState {
  /** Entries under the newest checkpoint seen. */
  readonly size: number;
  /** Which witnesses are demanded; undefined: none. */
  readonly demand: WitnessDemand | undefined;
  /** The newest time (ms) that as many of them as are demanded have said; 0 without. */
  readonly witnessTime: number;
}

/**
 * Asks a directory for its keys, for the client's own newest statements with a log proof, and for its rendezvous, each once. What
 * goes wrong is told beside the rest. @throws {SetupError} E_USAGE, E_BAD_KEY_FILE before it has asked anything.
 */
export async function contactDirectory(
  suite: CipherSuite,
  client: Client,
  { directory: given, witnesses }: { readonly directory: string | undefined; readonly witnesses?: WitnessOptions },
  { signal }: { readonly signal: AbortSignal },
): Promise<DirectoryContact> {
  const directory = await DirectoryAccess.of(suite, random, client, {
    stated: statedAddress(given),
    progress: new Silence(),
    witnesses,
  });
  const demand = readWitnessDemand(suite, witnesses, process.env);
  const patience = AbortSignal.any([signal, answerDeadline(CONTACT_MS)]);
  const keyList = await outcomeOf(async () => (await directory.client.fetchKeyList({ signal: patience })).list);
  if ("error" in keyList) return { client, directory, keyList, log: undefined, own: undefined, rendezvous: undefined };
  const { log, own } = await askForOwn(suite, client, directory, demand, patience);
  const rendezvous = await outcomeOf(() => listRendezvous(directory.client, client.keys.x25519, { signal: patience }));
  return { client, directory, keyList, log, own, rendezvous };
}

async function askForOwn(
  suite: CipherSuite,
  client: Client,
  directory: DirectoryAccess,
  demand: WitnessDemand | undefined,
  signal: AbortSignal,
): Promise<Pick<DirectoryContact, "log" | "own">> {
  const { keys, standing } = client;
  const asked = await outcomeOf(async () => {
    const { checkpointSize } = directory.client;
    const body = encodeOwnStatementsQuestion({ name: keys.name, member: keys.member, checkpointSize });
    const frame = await directory.client.request(keys.x25519, { type: REQUEST.ownStatements, body }, { signal });
    if (frame.type !== "binding") throw new PeerError("E_PROTOCOL", "The directory answers out of turn.");
    return frame;
  });
  if ("error" in asked) return { log: isOfLog(asked.error) ? asked : undefined, own: asked };
  const { statements, proof } = asked.value;
  const proved = await outcomeOf(() => directory.client.acceptProof(proof));
  const log: Outcome<LogState> =
    "error" in proved
      ? proved
      : { value: { size: directory.client.checkpointSize, demand, witnessTime: directory.client.witnessTime } };
  const own = await outcomeOf(() => {
    const judged = judgeOwn(suite, ownKeys(keys), statements, standing);
    if ("value" in proved) proved.value.demand(judged.newest);
    return judged;
  });
  return { log, own: "error" in own ? { error: own.error } : refuseEnded(client, own.value, directory.now()) };
}

function refuseEnded({ keys }: Client, own: OwnStanding, now: number): Outcome<OwnStanding> {
  const { expires } = own.binding.statement;
  if (expires === null || now < expires) return { value: own };
  const ended = new PeerError("E_STATEMENT", "The binding has ended.");
  return { error: ownEndTrouble(keys, expires, now, ended) as SshnpError };
}

function isOfLog({ code }: SshnpError): boolean {
  return code === "E_LOG" || code === "E_WITNESS";
}

const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));
