import type { CipherSuite } from "../keys/cipher-suite.ts";
import type { DirectoryClient } from "../directory/client.ts";
import { Ed25519PrivateKey } from "../keys/ed25519.ts";
import { PeerError, SshnpError } from "../keys/errors.ts";
import type { MemberName, Name } from "../keys/names.ts";
import { type Fingerprint, fingerprint, parsePublicKeyLine } from "../keys/openssh.ts";
import type { PeerPins } from "../keys/peer.ts";
import { signedTextFromJson } from "../keys/signed-text.ts";
import type { X25519PrivateKey } from "../keys/x25519.ts";
import { encodePrologue, type Party } from "../protocol/messages/prologue.ts";
import type { PeerClaim } from "../protocol/peers.ts";
import { verifyMemberStatements } from "../protocol/member-statements.ts";
import { verifyChainOf } from "../protocol/owner-chain.ts";
import { isExpired, seqOf } from "../protocol/statement-fields.ts";
import type { Progress } from "./progress.ts";
import type { Attempt } from "./attempt.ts";
import { requestSession, type StatementsOutcome } from "./request-session.ts";

interface Device {
  readonly name: Name;
  readonly member: MemberName;
}

/**
 * What this machine remembers of a device, so that no look-up goes ahead of the request; undefined when it has not met
 * the device, when a person gives another owner key than the one remembered, or when the binding has expired by `now` (ms)
 * and the directory may have a renewed one. It is judged as if the directory said it.
 */
export function rememberedDevice(
  suite: CipherSuite,
  { owner, member, revoked }: PeerPins,
  device: Device,
  given: Fingerprint | undefined,
  now: number,
): PeerClaim | undefined {
  if (owner === undefined || member?.owner !== owner.owner) return undefined;
  if (revoked !== undefined && revoked.seq >= seqOf(member.binding)) return undefined; // what follows it, the directory has
  if (given !== undefined && given !== fingerprint(suite, parsePublicKeyLine(owner.owner).blob)) return undefined;
  const delegation = member.delegation === null ? undefined : signedTextFromJson(member.delegation);
  const statements = {
    names: [signedTextFromJson(owner.statement)],
    member: signedTextFromJson(member.binding),
    delegation,
  };
  try {
    const chain = verifyChainOf(suite, device.name, statements.names);
    if (isExpired(verifyMemberStatements(suite, device, chain, statements).binding.statement, now)) return undefined;
  } catch (error) {
    if (error instanceof SshnpError) return undefined; // its owner has changed since; the directory has the newest
    throw error;
  }
  return { ...device, role: "device", statements };
}

/** What the directory says of a device. @throws as {@link requestSession}. */
export async function lookUpDevice(
  directory: DirectoryClient,
  sender: X25519PrivateKey,
  { attempt, self, device }: { readonly attempt: Attempt; readonly self: Party; readonly device: Device },
  { signal, progress }: { readonly signal: AbortSignal; readonly progress: Progress },
): Promise<StatementsOutcome> {
  const { suite, random } = directory;
  const sid = random(16);
  const prologue = encodePrologue({
    sid,
    client: self,
    device: { ...device, bindingHash: new Uint8Array(32) },
    service: "ssh",
    login: "",
    legKey: Ed25519PrivateKey.generate(suite, random).publicKey, // a field that must be there; nothing is signed with it
  });
  const outcome = await requestSession(
    directory,
    sender,
    { attempt, sid, prologue, message1: new Uint8Array(0), waitSeconds: 0 },
    {
      signal,
      progress,
      onTicket: () => Promise.reject(new PeerError("E_PROTOCOL", "The directory answers out of turn.")),
    },
  );
  if (outcome.kind !== "statements") throw new PeerError("E_PROTOCOL", "The directory answers out of turn.");
  progress.step("the directory gave the device's statements");
  return outcome;
}
