import { parseMember, parseName } from "../../keys/names.ts";
import { signedTextFromJson, signedTextToJson, type SignedTextJson } from "../../keys/signed-text.ts";
import type { PeerClaim } from "../../protocol/peers.ts";

/** A claim of a device whose binding its owner signed, as it can be handed to another process. */
export interface ClaimJson {
  readonly name: string;
  readonly member: string;
  readonly names: readonly SignedTextJson[];
  readonly binding: SignedTextJson;
}

export function claimToJson({ name, member, statements }: PeerClaim): ClaimJson {
  return { name, member, names: statements.names.map(signedTextToJson), binding: signedTextToJson(statements.member) };
}

export function claimFromJson({ name, member, names, binding }: ClaimJson): PeerClaim {
  return {
    name: parseName(name),
    member: parseMember(member),
    role: "device",
    statements: { names: names.map(signedTextFromJson), member: signedTextFromJson(binding), delegation: undefined },
  };
}
