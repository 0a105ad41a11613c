/**
 * Activation: the first act of a name, or of a rendezvous. Challenge and response; the secret is never sent.
 *
 * ```
 * activationStart            u8-prefixed name                 answered by frame activation (nonce, time)
 * activate                   nonce (16), the name statement, the binding, activation signature (64),
 *                            u16-prefixed owner signature (SSHSIG)                     answered by frame logged
 * rendezvousActivationStart  activation public key (32)       answered by frame activation
 * rendezvousActivate         nonce (16), activation public key (32), X25519 (32), Ed25519 (32), addresses,
 *                            activation signature (64), own signature (64)             answered by frame rendezvous
 * rendezvousReport           boot (16), u32 legs, u32 legs at most, u8 state (0 serves, 1 drains), u8-prefixed region,
 *                            addresses                                                 answered by frame rendezvous
 * addresses                  u8 count (1..4), each u8-prefixed
 * ```
 * Signed by the activation key (raw Ed25519) and by the owner key (SSHSIG `sshnp-activation@v1`), u16-prefixed:
 * "LABEL activation", nonce, directory fingerprint, name, owner line, member, role, X25519, Ed25519.
 * For a rendezvous its own Ed25519 key stands for the owner key and signs raw; the name is `rendezvous`, member and role
 * are empty: it learns what it is called at this directory from the statement that answers. Its activation key is derived
 * for the same name `rendezvous`. A report belongs to the rendezvous whose X25519 key sent it.
 */
import { ByteReader, ByteWriter, prefixed16, utf8 } from "../../keys/bytes.ts";
import { Ed25519PublicKey } from "../../keys/ed25519.ts";
import { PeerError } from "../../keys/errors.ts";
import { isName, type Name } from "../../keys/names.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { X25519PublicKey } from "../../keys/x25519.ts";
import { LABEL } from "../label.ts";
import { MAX_RENDEZVOUS_ADDRESSES, SIGNATURE_BYTES } from "../limits.ts";
import { isRegion } from "../region.ts";
import { parseRendezvousAddress } from "../rendezvous-address.ts";
import type { Binding } from "../statements.ts";
import { readSignedText, writeSignedText } from "../signed-text-wire.ts";

/** SSHSIG namespace of the owner's signature over an activation. */
export const ACTIVATION_NAMESPACE = "sshnp-activation@v1";

export interface Activation {
  readonly nonce: Uint8Array;
  readonly name: SignedText;
  readonly binding: SignedText;
  readonly activationSignature: Uint8Array;
  readonly ownerSignature: Uint8Array;
}

/** What the activation key of a rendezvous is derived for, in the place of a name. */
export const RENDEZVOUS_ACTIVATION = "rendezvous";

export interface RendezvousIdentity {
  readonly x25519: X25519PublicKey;
  readonly ed25519: Ed25519PublicKey;
}

export interface RendezvousActivation extends RendezvousIdentity {
  readonly nonce: Uint8Array;
  readonly activationKey: Ed25519PublicKey;
  readonly addresses: readonly string[];
  readonly activationSignature: Uint8Array;
  readonly ownSignature: Uint8Array;
}

export interface RendezvousReport {
  /** 16 random bytes of this start. */
  readonly boot: Uint8Array;
  /** Legs held now. */
  readonly legs: number;
  /** Legs that it takes at most. */
  readonly most: number;
  /** Whether it ends when its sessions have ended, and wants no new ones. */
  readonly isDraining: boolean;
  /** As {@link isRegion} has it; empty: not said. */
  readonly region: string;
  readonly addresses: readonly string[];
}

/** The bytes that prove an activation: who becomes what, at which directory, in answer to which nonce. */
export function activationProof(
  challenge: { readonly nonce: Uint8Array; readonly directoryFingerprint: string },
  owner: string,
  binding: Pick<Binding, "name" | "member" | "role" | "x25519" | "ed25519">,
): Uint8Array {
  return proof(challenge, binding.name, owner, binding.member, binding.role, binding);
}

/** The same for a rendezvous. */
export function rendezvousActivationProof(
  challenge: { readonly nonce: Uint8Array; readonly directoryFingerprint: string },
  identity: RendezvousIdentity,
): Uint8Array {
  return proof(challenge, RENDEZVOUS_ACTIVATION, ed25519Line(identity.ed25519), "", "", identity);
}

export function encodeActivationStart(name: Name): Uint8Array {
  return new ByteWriter().text8(name).done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseActivationStart(body: Uint8Array): Name {
  const reader = new ByteReader(body);
  const name = reader.text8();
  if (!isName(name)) throw new PeerError("E_PROTOCOL", "an activation has a malformed name");
  reader.end();
  return name;
}

export function encodeActivation(activation: Activation): Uint8Array {
  const writer = new ByteWriter().raw(activation.nonce);
  writeSignedText(writer, activation.name);
  writeSignedText(writer, activation.binding);
  return writer.raw(activation.activationSignature).bytes16(activation.ownerSignature).done();
}

/** @throws {PeerError} E_PROTOCOL. No signature is verified here. */
export function parseActivation(body: Uint8Array): Activation {
  const reader = new ByteReader(body);
  const nonce = reader.raw(16).slice();
  const name = readSignedText(reader);
  const binding = readSignedText(reader);
  const activationSignature = reader.raw(64).slice();
  const ownerSignature = reader.bytes16().slice();
  if (ownerSignature.length > SIGNATURE_BYTES) throw new PeerError("E_PROTOCOL", "a signature is too long");
  reader.end();
  return { nonce, name, binding, activationSignature, ownerSignature };
}

export function encodeRendezvousActivationStart(activationKey: Ed25519PublicKey): Uint8Array {
  return activationKey.bytes.slice();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseRendezvousActivationStart(body: Uint8Array): Ed25519PublicKey {
  return Ed25519PublicKey.parse(body);
}

export function encodeRendezvousActivation(activation: RendezvousActivation): Uint8Array {
  const writer = new ByteWriter()
    .raw(activation.nonce)
    .raw(activation.activationKey.bytes)
    .raw(activation.x25519.bytes)
    .raw(activation.ed25519.bytes);
  writeAddresses(writer, activation.addresses);
  return writer.raw(activation.activationSignature).raw(activation.ownSignature).done();
}

/** @throws {PeerError} E_PROTOCOL. No signature is verified here. */
export function parseRendezvousActivation(body: Uint8Array): RendezvousActivation {
  const reader = new ByteReader(body);
  const nonce = reader.raw(16).slice();
  const activationKey = Ed25519PublicKey.parse(reader.raw(32));
  const x25519 = X25519PublicKey.parse(reader.raw(32));
  const ed25519 = Ed25519PublicKey.parse(reader.raw(32));
  const addresses = readAddresses(reader);
  const activationSignature = reader.raw(64).slice();
  const ownSignature = reader.raw(64).slice();
  reader.end();
  return { nonce, activationKey, x25519, ed25519, addresses, activationSignature, ownSignature };
}

export function encodeRendezvousReport(report: RendezvousReport): Uint8Array {
  const writer = new ByteWriter().raw(report.boot).u32(report.legs).u32(report.most);
  writer.u8(report.isDraining ? 1 : 0).text8(report.region);
  writeAddresses(writer, report.addresses);
  return writer.done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseRendezvousReport(body: Uint8Array): RendezvousReport {
  const reader = new ByteReader(body);
  const boot = reader.raw(16).slice();
  const legs = reader.u32();
  const most = reader.u32();
  const state = reader.u8();
  if (state > 1) throw new PeerError("E_PROTOCOL", "a rendezvous is in an unknown state");
  const region = reader.text8();
  if (!isRegion(region)) throw new PeerError("E_PROTOCOL", "a rendezvous has a malformed region");
  const addresses = readAddresses(reader);
  reader.end();
  return { boot, legs, most, isDraining: state === 1, region, addresses };
}

function proof(
  challenge: { readonly nonce: Uint8Array; readonly directoryFingerprint: string },
  name: string,
  owner: string,
  member: string,
  role: string,
  keys: { readonly x25519: X25519PublicKey; readonly ed25519: Ed25519PublicKey },
): Uint8Array {
  return prefixed16(
    utf8(`${LABEL} activation`),
    challenge.nonce,
    utf8(challenge.directoryFingerprint),
    utf8(name),
    utf8(owner),
    utf8(member),
    utf8(role),
    keys.x25519.bytes,
    keys.ed25519.bytes,
  );
}

function writeAddresses(writer: ByteWriter, addresses: readonly string[]): void {
  writer.u8(addresses.length);
  for (const address of addresses) writer.text8(address);
}

function readAddresses(reader: ByteReader): string[] {
  const count = reader.u8();
  if (count < 1 || count > MAX_RENDEZVOUS_ADDRESSES) throw new PeerError("E_PROTOCOL", "wrong number of addresses");
  return Array.from({ length: count }, () => {
    const address = reader.text8();
    parseRendezvousAddress(address);
    return address;
  });
}
