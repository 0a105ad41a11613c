/**
 * Topics of an MQTT broker between devices and their directory (docs/protocol.md, "By an MQTT broker"). They say nothing to
 * whoever does not know the names, fit into the limits of common brokers, and nobody's words are in them, so that no wildcard
 * can be either.
 */
import { hex, prefixed16, utf8 } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import type { MemberName, Name } from "../keys/names.ts";
import { LABEL_BYTES } from "./label.ts";
import { bindingSubject } from "./statements.ts";

type Hashing = Pick<CipherSuite, "sha256">;

/** What a device is called at the broker: its client id, its user name, and the last part of its topic; 32 hex digits. */
export function deviceAtBroker(
  suite: Hashing,
  fingerprint: string,
  device: { readonly name: Name; readonly member: MemberName },
): string {
  return hash(suite, "device", fingerprint, bindingSubject(device));
}

/** Where the device of that name at the broker is told things; it subscribes to nothing else. */
export function deviceTopic(atBroker: string): string {
  return `sshnp/d/${atBroker}`;
}

/** Where devices tell a directory things, whichever of its processes. */
export function directoryTopic(suite: Hashing, fingerprint: string): string {
  return `sshnp/u/${hash(suite, "directory", fingerprint)}`;
}

/** Where devices answer the process of a directory that has asked; `replica`: 16 bytes that it chose when it started. */
export function replicaTopic(suite: Hashing, fingerprint: string, replica: Uint8Array): string {
  return `sshnp/r/${hash(suite, "directory", fingerprint)}/${hex(replica)}`;
}

/** The first half of a SHA-256: whoever could find two devices with one could but see sealed messages. */
function hash(suite: Hashing, ...words: readonly string[]): string {
  return hex(suite.sha256(prefixed16(LABEL_BYTES, ...["topic", ...words].map(utf8)))).slice(0, 32);
}
