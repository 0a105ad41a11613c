import { setTimeout as pause } from "node:timers/promises";
import { type DirectoryClient, putStatements, refusalError } from "../../directory/client.ts";
import { type Applicant, enrolmentProof } from "../../protocol/enrolment.ts";
import { RECONNECT_MS, REPOST_MS } from "../../protocol/limits.ts";
import { encodeActivationStart } from "../../protocol/messages/activation.ts";
import { encodeEnrolmentRequest, encodeOwnStatementsQuestion } from "../../protocol/messages/enrolment.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import type { RefusalCode } from "../../protocol/refusal-codes.ts";
import type { Ed25519PrivateKey } from "../ed25519.ts";
import type { ApplicantKeys } from "../enrolment-files.ts";
import { DeniedError, PeerError, SecurityError, type SshnpError, UnavailableError } from "../errors.ts";
import type { SignedText } from "../signed-text.ts";

export type OwnBinding = Extract<Frame, { readonly type: "binding" }>;
export type Pending = Extract<Frame, { readonly type: "pending" }>;

/** Public halves of an applicant's keys. */
export function publicHalves({ name, member, role, x25519, ed25519 }: ApplicantKeys): Applicant {
  return { name, member, role, x25519: x25519.publicKey, ed25519: ed25519.publicKey };
}

/** The time that the directory says it is (ms), and a nonce of its own. @throws as DirectoryClient.request. */
export async function askNonce(
  client: DirectoryClient,
  applicant: ApplicantKeys,
  signal: AbortSignal,
): Promise<Extract<Frame, { readonly type: "activation" }>> {
  const question = { type: REQUEST.activationStart, body: encodeActivationStart(applicant.name) };
  const answer = await client.request(applicant.x25519, question, { signal });
  if (answer.type !== "activation") throw outOfTurn();
  return answer;
}

/**
 * What stands about a member that is bound by these keys; "pending" when it waits for its owner, undefined when there is
 * neither. @throws as DirectoryClient.request.
 */
export async function askOwnStatements(
  client: DirectoryClient,
  applicant: ApplicantKeys,
  signal: AbortSignal,
): Promise<OwnBinding | "pending" | undefined> {
  await client.keyList({ signal }); // the checkpoint seen before is signed with a key in it
  const body = encodeOwnStatementsQuestion({ ...applicant, checkpointSize: client.checkpointSize });
  try {
    const frame = await client.request(applicant.x25519, { type: REQUEST.ownStatements, body }, { signal });
    if (frame.type !== "binding") throw outOfTurn();
    return frame;
  } catch (error) {
    if (error instanceof UnavailableError && error.code === "E_PENDING") return "pending";
    if (error instanceof DeniedError && error.code === "E_NOT_AUTHORIZED") return undefined;
    throw error;
  }
}

/**
 * Asks with a one-time password to become a member; to wait for the owner's decision, over any number of connections, after
 * `onPending` was told. Gives what stands about the member, or until when it waits.
 * @throws {DeniedError} E_TOKEN, E_MEMBER_TAKEN, E_NOT_AUTHORIZED; {SecurityError} E_MEMBER_KEY; as DirectoryClient.request.
 */
export async function askToEnrol(
  client: DirectoryClient,
  applicant: ApplicantKeys,
  passwordKey: Ed25519PrivateKey,
  {
    isWaiting,
    onPending,
    signal,
  }: {
    readonly isWaiting: boolean;
    readonly onPending: (pending: Pending) => void;
    readonly signal: AbortSignal;
  },
): Promise<OwnBinding | Pending> {
  let isPending = false;
  for (let ms = REPOST_MS; ; ms = Math.min(2 * ms, RECONNECT_MS)) {
    try {
      for await (const frame of enrol(client, applicant, passwordKey, isWaiting, signal)) {
        if (frame.type === "refused") throw refusal(applicant, frame.code, frame.detail);
        if (frame.type === "binding") return frame;
        if (frame.type !== "pending") throw outOfTurn();
        if (!isWaiting) return frame;
        if (!isPending) onPending(frame);
        isPending = true;
        ms = REPOST_MS;
      }
      throw outOfTurn();
    } catch (error) {
      // An answer that was waited for may be lost; the question is not.
      if (!isPending || !(error instanceof UnavailableError) || error.code === "E_INTERRUPTED") throw error;
    }
    await pause(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** Gives the directory a binding that a fleet token has signed. Throws as {@link askToEnrol}; {SecurityError} E_LOG. */
export async function putOwnBinding(
  client: DirectoryClient,
  applicant: ApplicantKeys,
  binding: SignedText,
  signal: AbortSignal,
): Promise<void> {
  try {
    await putStatements(client, applicant.x25519, [binding], { signal });
  } catch (error) {
    const code = error instanceof DeniedError || error instanceof SecurityError ? error.code : undefined;
    if (code === "E_MEMBER_TAKEN" || code === "E_MEMBER_KEY") throw refusal(applicant, code, 0);
    if (code !== "E_TOKEN" && code !== "E_NOT_AUTHORIZED" && code !== "E_REVOKED") throw error;
    const { name, member, role } = applicant;
    const fact =
      code === "E_TOKEN"
        ? `The fleet token is used up, past its time, or not for ${role} ${member} of ${name}.`
        : `The token is none that the owner of ${name} has given, or was revoked.`;
    throw new DeniedError("E_TOKEN", fact, {
      next: `For ${role} ${member} the owner can make another one: sshnp-keys delegate ${name} --role ${role} --pattern ${member}`,
      cause: error,
    });
  }
}

/** Refusals that say for certain that nothing of these keys is kept there. */
export const NOTHING_KEPT: readonly string[] = ["E_TOKEN", "E_MEMBER_TAKEN", "E_MEMBER_KEY", "E_NOT_AUTHORIZED"];

async function* enrol(
  client: DirectoryClient,
  applicant: ApplicantKeys,
  passwordKey: Ed25519PrivateKey,
  isWaiting: boolean,
  signal: AbortSignal,
): AsyncGenerator<Frame, void, void> {
  const { suite, address } = client;
  const { nonce } = await askNonce(client, applicant, signal);
  const proof = enrolmentProof({ nonce, directoryFingerprint: address.fingerprint }, publicHalves(applicant));
  const body = encodeEnrolmentRequest({
    ...publicHalves(applicant),
    nonce,
    passwordKey: passwordKey.publicKey,
    passwordSignature: suite.sign(passwordKey, proof),
    ownSignature: suite.sign(applicant.ed25519, proof),
    checkpointSize: client.checkpointSize,
    isWaiting,
  });
  yield* client.send(applicant.x25519, { type: REQUEST.enrol, body }, { signal });
}

function refusal({ name, member }: ApplicantKeys, code: RefusalCode, detail: number): SshnpError {
  switch (code) {
    case "E_TOKEN":
      return new DeniedError(code, `The one-time password does not let ${member} ask for ${name}, or not any more.`, {
        next: `It may be used up, past its time, or for others, or the owner has turned ${member} away. He can make a new one: sshnp-keys otp ${name}`,
      });
    case "E_MEMBER_TAKEN":
      return new DeniedError(code, `${name} has a ${member} already, or one that waits, with other keys.`, {
        next: `Choose another name for this machine: sshnp-keys enroll ${name} NAME`,
      });
    case "E_MEMBER_KEY":
      return new SecurityError(code, `The keys of ${member} are those of another member already.`, {
        next: "A copied keys folder does that: use an empty one (--keys FOLDER), which makes keys of its own.",
      });
    case "E_NOT_AUTHORIZED":
      return new DeniedError(code, `The owner of ${name} has turned ${member} away.`, {
        next: `If that was a mistake, he can make another one-time password: sshnp-keys otp ${name}`,
      });
    default:
      return refusalError(code, detail);
  }
}

function outOfTurn(): PeerError {
  return new PeerError("E_PROTOCOL", "The directory answers out of turn.", {
    next: "Bring sshnp to the same version here and at the directory.",
  });
}
