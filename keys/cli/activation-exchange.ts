import { demandLogged, type DirectoryClient, refusalError } from "../../directory/client.ts";
import type { DirectoryAddress } from "../../protocol/directory-address.ts";
import { ACTIVATION_MS } from "../../protocol/limits.ts";
import { encodeActivationStart } from "../../protocol/messages/activation.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { DeniedError, PeerError, type SshnpError, UnavailableError } from "../errors.ts";
import type { Name } from "../names.ts";
import type { SignedText } from "../signed-text.ts";
import type { X25519PrivateKey } from "../x25519.ts";

/** What proves an activation to be new, and the time that its statements are issued at (ms). */
export type Challenge = Extract<Frame, { readonly type: "activation" }>;

export type Refusal = Extract<Frame, { readonly type: "refused" }>;

/** Who asks which directory, until when. */
export interface Asking {
  readonly client: DirectoryClient;
  readonly address: DirectoryAddress;
  /** The member to be. */
  readonly sender: X25519PrivateKey;
  readonly signal: AbortSignal;
}

/**
 * A new challenge for the activation of `name`.
 * @throws {DeniedError}, {UnavailableError} what the directory says against it; E_DIRECTORY when it does not answer in
 * time. The signal's reason when it is aborted.
 */
export async function askChallenge(asking: Asking, name: Name): Promise<Challenge> {
  const answer = await ask(asking, { type: REQUEST.activationStart, body: encodeActivationStart(name) });
  if (answer.type === "refused") throw refusal(name, answer);
  if (answer.type !== "activation") throw outOfTurn();
  return answer;
}

/**
 * Sends the body of the message that activates, and returns what the directory has against it; when it has nothing, its log
 * must prove that these statements, the name's and the binding, are the newest. So it cannot have put others in their place.
 * Throws as {@link askChallenge}; {SecurityError} E_LOG; {UnavailableError} E_CLOCK also when the nonce in it is too old.
 */
export async function askToActivate(
  asking: Asking,
  body: Uint8Array,
  statements: readonly SignedText[],
): Promise<Refusal | undefined> {
  const answer = await ask(asking, { type: REQUEST.activate, body });
  if (answer.type === "refused") return answer;
  demandLogged(asking.client, answer, statements);
  return undefined;
}

/** The directory's key list. Throws as {@link askChallenge}. */
export async function askKeyList(asking: Asking): Promise<SignedText> {
  return await withDeadline(asking, async (signal) => (await asking.client.keyList({ signal })).signed);
}

/** The directory's refusals, said of this name. */
export function refusal(name: Name, { code, detail }: Refusal): SshnpError {
  switch (code) {
    case "E_CRAM_WRONG":
      return new DeniedError(code, `The activation secret for ${name} was not accepted.`, {
        next: `It is good for one name at one directory. Lost it? There, sshnp-directory name add ${name} --data DIR makes a new one.`,
      });
    case "E_CRAM_USED":
      return new DeniedError(code, `${name} is activated already, with other keys, and its secret is used up.`, {
        next: "If that was you, use those keys. If not, tell whoever runs the directory at once.",
      });
    default:
      return refusalError(code, detail);
  }
}

/** Sends one message and returns the last frame of its answer, a refusal included. */
async function ask(asking: Asking, message: { readonly type: number; readonly body: Uint8Array }): Promise<Frame> {
  const { client, sender } = asking;
  return await withDeadline(asking, async (signal) => {
    let last: Frame | undefined;
    for await (const frame of client.send(sender, message, { signal })) last = frame;
    if (last === undefined) throw outOfTurn();
    return last;
  });
}

/** A slow drip of bytes keeps every single wait alive; so all of them for one answer have an end too. */
async function withDeadline<T>(
  { address: { url }, signal }: Asking,
  action: (soon: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    const next = "Try again; if it stays so, look for a proxy in between.";
    late.abort(new UnavailableError("E_DIRECTORY", `The directory at ${url.origin} is too slow.`, { next }));
  }, ACTIVATION_MS);
  try {
    return await action(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}

function outOfTurn(): PeerError {
  return new PeerError("E_PROTOCOL", "The directory answers out of turn.", {
    next: "Bring sshnp to the same version here and at the directory.",
  });
}
