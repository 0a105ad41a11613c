import { parseMember, parseName } from "../../keys/names.ts";
import { signedTextFromJson, signedTextToJson, type SignedTextJson } from "../../keys/signed-text.ts";
import type { PeerClaim } from "../../protocol/peers.ts";

/** A claim of a device, as it can be handed to another process. */
export interface ClaimJson {
  readonly name: string;
  readonly member: string;
  readonly nameStatement: SignedTextJson;
  readonly binding: SignedTextJson;
}

export function claimToJson({ name, member, nameStatement, binding }: PeerClaim): ClaimJson {
  return { name, member, nameStatement: signedTextToJson(nameStatement), binding: signedTextToJson(binding) };
}

export function claimFromJson({ name, member, nameStatement, binding }: ClaimJson): PeerClaim {
  return {
    name: parseName(name),
    member: parseMember(member),
    role: "device",
    nameStatement: signedTextFromJson(nameStatement),
    binding: signedTextFromJson(binding),
  };
}
