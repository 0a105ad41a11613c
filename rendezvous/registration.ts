import type { DirectoryClient } from "../directory/client.ts";
import { activationKey } from "../keys/activation-key.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import type { Ed25519PrivateKey } from "../keys/ed25519.ts";
import { PeerError, SecurityError } from "../keys/errors.ts";
import type { Secret } from "../keys/secret.ts";
import type { RendezvousKeys } from "../keys/service-key-files.ts";
import type { SignedText } from "../keys/signed-text.ts";
import {
  encodeRendezvousActivation,
  encodeRendezvousActivationStart,
  encodeRendezvousReport,
  RENDEZVOUS_ACTIVATION,
  type RendezvousReport,
  rendezvousActivationProof,
} from "../protocol/messages/activation.ts";
import type { Frame } from "../protocol/messages/response-frames.ts";
import { REQUEST } from "../protocol/messages/types.ts";
import { type RendezvousStatement, verifyRendezvousStatement } from "../protocol/statements.ts";

/** What a directory says about a rendezvous, signed by its root key. */
export interface Registered {
  readonly statement: RendezvousStatement;
  readonly signed: SignedText;
}

/** What a rendezvous' one-time secret stands for; the public half gives nothing of it away. */
export function rendezvousActivationKey(suite: CipherSuite, secret: Secret): Ed25519PrivateKey {
  return activationKey(suite, secret, RENDEZVOUS_ACTIVATION);
}

/**
 * Proves by the one-time secret that these keys are a rendezvous of the directory. Repeating it with the same keys is
 * harmless.
 * @throws {DeniedError} E_CRAM_WRONG, E_CRAM_USED; {SecurityError} when the answer is about other keys; as
 * {@link DirectoryClient.request}.
 */
export async function activateRendezvous(
  client: DirectoryClient,
  keys: RendezvousKeys,
  { secret, addresses }: { readonly secret: Secret; readonly addresses: readonly string[] },
  { signal }: { readonly signal: AbortSignal },
): Promise<Registered> {
  const { suite } = client;
  const activation = rendezvousActivationKey(suite, secret);
  const start = {
    type: REQUEST.rendezvousActivationStart,
    body: encodeRendezvousActivationStart(activation.publicKey),
  };
  const challenge = await client.request(keys.x25519, start, { signal });
  if (challenge.type !== "activation") throw outOfTurn();

  const identity = { x25519: keys.x25519.publicKey, ed25519: keys.ed25519.publicKey };
  const { nonce } = challenge;
  const proof = rendezvousActivationProof({ nonce, directoryFingerprint: client.address.fingerprint }, identity);
  const body = encodeRendezvousActivation({
    ...identity,
    nonce,
    activationKey: activation.publicKey,
    addresses,
    activationSignature: suite.sign(activation, proof),
    ownSignature: suite.sign(keys.ed25519, proof),
  });
  const answer = await client.request(keys.x25519, { type: REQUEST.rendezvousActivate, body }, { signal });
  return await accept(client, keys, answer, { signal });
}

/**
 * Tells the directory the boot, the load and the addresses of this start.
 * @throws {DeniedError} when the directory does not know these keys; as {@link activateRendezvous}.
 */
export async function reportRendezvous(
  client: DirectoryClient,
  keys: RendezvousKeys,
  report: RendezvousReport,
  { signal }: { readonly signal: AbortSignal },
): Promise<Registered> {
  const message = { type: REQUEST.rendezvousReport, body: encodeRendezvousReport(report) };
  return await accept(client, keys, await client.request(keys.x25519, message, { signal }), { signal });
}

async function accept(
  client: DirectoryClient,
  keys: RendezvousKeys,
  frame: Frame,
  { signal }: { readonly signal: AbortSignal },
): Promise<Registered> {
  if (frame.type !== "rendezvous") throw outOfTurn();
  const { root } = await client.keyList({ signal });
  const { statement, signed } = verifyRendezvousStatement(client.suite, frame.statement, root);
  if (!statement.ed25519.equals(keys.ed25519.publicKey) || !statement.x25519.equals(keys.x25519.publicKey)) {
    throw new SecurityError("E_STATEMENT", "The directory vouches for other keys than those of this rendezvous.", {
      next: "Ask whoever runs the directory; `sshnp-directory rendezvous ls` shows what it knows.",
    });
  }
  return { statement, signed };
}

function outOfTurn(): PeerError {
  return new PeerError("E_PROTOCOL", "The directory answers out of turn.", {
    next: "Bring sshnp to the same version here and there.",
  });
}
