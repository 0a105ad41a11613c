import { ByteWriter, concat, prefixed16, utf8 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine, sshString } from "../../keys/openssh.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { signSshsig } from "../../keys/sshsig.ts";
import { signKeyList, verifyKeyList } from "../../protocol/key-list.ts";
import { LABEL } from "../../protocol/label.ts";
import type { StatementKind } from "../../protocol/statement-fields.ts";
import { signTicket } from "../../protocol/ticket.ts";
import { cast, NOW } from "../protocol/fixtures.ts";

/* Signs whatever a mutation made of a text or of bytes, so that it gets beyond the signature. */

export const SIGNATURE_BYTES = 64;

export function keyOf(suite: CipherSuite, seed: number): Ed25519PrivateKey {
  return Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(seed));
}

export function keyListOf(suite: CipherSuite) {
  const { directory } = cast(suite);
  const list = {
    seq: 1,
    issued: NOW,
    expires: NOW + 1e9,
    sealing: [directory.sealing.publicKey],
    ticket: [directory.ticket.publicKey],
    log: directory.log.publicKey,
    origin: "np.example.org:7800",
  };
  const root = ed25519Line(directory.root.publicKey);
  return verifyKeyList(
    suite,
    signKeyList(suite, directory.root, list),
    fingerprint(suite, parsePublicKeyLine(root).blob),
  );
}

/** A statement whose signature is made anew. All but the last 64 bytes of an SSHSIG are the same for one key and kind. */
export function signed(
  suite: CipherSuite,
  key: Ed25519PrivateKey,
  kind: StatementKind | "keys",
  text: string,
): SignedText {
  const namespace = `sshnp-${kind}@v1`;
  const known = heads.get(key) ?? new Map<string, Uint8Array>();
  heads.set(key, known);
  const head = known.get(kind) ?? signSshsig(suite, key, namespace, new Uint8Array(0)).subarray(0, -SIGNATURE_BYTES);
  known.set(kind, head);
  const inside = concat(sshString(namespace), sshString(""), sshString("sha512"), sshString(suite.sha512(utf8(text))));
  return { text, signature: concat(head, suite.sign(key, concat(utf8("SSHSIG"), inside))) };
}

const heads = new WeakMap<Ed25519PrivateKey, Map<string, Uint8Array>>();

/** A ticket with these fields, whatever they are, signed. */
export function signedTicket(suite: CipherSuite, key: Ed25519PrivateKey, fields: Uint8Array): Uint8Array {
  const message = new ByteWriter()
    .raw(prefixed16(utf8(`${LABEL} ticket`)))
    .raw(fields)
    .done();
  return new ByteWriter().raw(fields).raw(suite.sign(key, message)).done();
}

/** Whether the entries of a ticket are short enough. */
export function fits(suite: CipherSuite): (ticket: Parameters<typeof signTicket>[2]) => boolean {
  return (ticket) => {
    try {
      return signTicket(suite, keyOf(suite, 1), ticket).length > 0;
    } catch {
      return false;
    }
  };
}

/** The text of a statement as it is to be printed: the common fields, then those of its kind. */
export function statementJson(fields: object, last: object): string {
  const { v: version, kind, subject, seq, prev, salt, issued, expires } = fields as Record<string, unknown>;
  return JSON.stringify({ v: version, kind, subject, seq, prev, salt, issued, expires, ...last });
}
