import * as fc from "fast-check";
import { base64, concat, hex, utf8 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey, Ed25519PublicKey } from "../../keys/ed25519.ts";
import { isMember, type MemberName, type Name, type Role } from "../../keys/names.ts";
import { ed25519Line, type Fingerprint, parsePublicKeyBlob, sshString } from "../../keys/openssh.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { X25519PublicKey } from "../../keys/x25519.ts";
import type { KeyList } from "../../protocol/key-list.ts";
import { isKeyName } from "../../protocol/log/note.ts";
import type { MemberStatements } from "../../protocol/member-statements.ts";
import type { Party, Prologue } from "../../protocol/messages/prologue.ts";
import { REFUSAL_NUMBERS, type RefusalCode } from "../../protocol/refusal-codes.ts";
import { formatRendezvousAddress } from "../../protocol/rendezvous-address.ts";
import type { Ticket, TicketEntry } from "../../protocol/ticket.ts";
import { LAST_TIME_MS } from "../../protocol/limits.ts";
import { NOW } from "../protocol/fixtures.ts";

/* Values of every kind that travels, for the matching encoders. */

export const bytesOf = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
export const someBytes = (maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });

export const nonce = bytesOf(16);
export const milliseconds: fc.Arbitrary<number> = fc.oneof(
  fc.integer({ min: NOW, max: NOW + 1e9 }),
  fc.constantFrom(0, Number.MAX_SAFE_INTEGER),
);
/** A time that a statement may have. */
export const time: fc.Arbitrary<number> = fc.oneof(
  fc.integer({ min: NOW, max: NOW + 1e9 }),
  fc.constantFrom(0, LAST_TIME_MS),
);
export const u32 = fc.oneof(fc.nat(100), fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1));
/** Printable ASCII without space, at least one character. */
export const word = (maxLength: number): fc.Arbitrary<string> =>
  fc.stringMatching(new RegExp(`^[!-~]{1,${maxLength}}$`));

export const name = fc.stringMatching(/^@[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/) as fc.Arbitrary<Name>;
export const member = fc
  .stringMatching(/^[a-z0-9](?:[a-z0-9_-]{0,34}[a-z0-9])?$/)
  .filter((text): text is MemberName => isMember(text));
export const role = fc.constantFrom<Role>("client", "device");
export const login = fc.oneof(fc.constant(""), fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/));
export const refusalCode = fc.constantFrom(...(Object.keys(REFUSAL_NUMBERS) as RefusalCode[]));

/** A field element that is not of small order; whether it lies on a curve nobody asks. */
const fieldElement = bytesOf(32).map((bytes) => {
  const element = bytes.slice();
  element[31] = (bytes[31] ?? 0) & 0x3f;
  element[1] = 0x77;
  return element;
});
export const ed25519 = fieldElement.map((bytes) => Ed25519PublicKey.parse(bytes));
export const x25519 = fieldElement.map((bytes) => X25519PublicKey.parse(bytes));
export const ed25519Secret = (suite: CipherSuite): fc.Arbitrary<Ed25519PrivateKey> =>
  bytesOf(32).map((seed) => Ed25519PrivateKey.parse(suite, seed));

export const fingerprintText = bytesOf(32).map((bytes) => `SHA256:${base64(bytes).slice(0, -1)}` as Fingerprint);

const dnsName = fc.stringMatching(/^[a-z0-9](?:[a-z0-9.-]{0,20}[a-z0-9])?$/);
export const ipv4 = fc.ipV4();
export const ipv6 = fc.ipV6().filter((text) => text.includes(":"));
export const port = fc.integer({ min: 1, max: 65_535 });
export const rendezvousAddress = fc
  .record({
    transport: fc.constantFrom("tcp" as const, "ws" as const, "wss" as const),
    host: fc.oneof(dnsName, ipv4, fc.constantFrom("::1", "2001:db8::1", "fe80::1")),
    port,
  })
  .map(formatRendezvousAddress);
export const addresses = fc.array(rendezvousAddress, { minLength: 1, maxLength: 4 });

export const service = fc.oneof(
  fc.constant("ssh"),
  fc
    .tuple(fc.oneof(dnsName, ipv4, fc.constantFrom("[::1]", "[2001:db8::1]")), port)
    .map(([host, at]) => `tcp:${host}:${at}`),
);

export const signedText: fc.Arbitrary<SignedText> = fc.record({
  text: fc.oneof({ arbitrary: fc.string({ minLength: 1, maxLength: 300 }), weight: 40 }, fc.constant("x".repeat(8192))),
  signature: fc.oneof({ arbitrary: someBytes(180), weight: 40 }, bytesOf(1024)),
});

export const signedTexts = (maxLength: number): fc.Arbitrary<SignedText[]> =>
  fc.array(signedText, { minLength: 1, maxLength });
/** Encoded; nobody looks into it before the statements that it is of are known. */
export const logProof: fc.Arbitrary<Uint8Array> = fc.oneof(
  { arbitrary: someBytes(300), weight: 40 },
  bytesOf(24 * 1024),
);
export const memberStatements: fc.Arbitrary<MemberStatements> = fc.oneof(
  fc.record({ names: signedTexts(8), member: signedText, delegation: fc.option(signedText, { nil: undefined }) }),
  fc.record({ names: signedTexts(8), member: signedText, delegation: signedText, delegationRevocation: signedText }),
);
export const linkParty = fc.record({ name, member });

const party: fc.Arbitrary<Party> = fc.record({ name, member, bindingHash: bytesOf(32) });
export const prologue: fc.Arbitrary<Prologue> = fc.record({
  sid: nonce,
  client: party,
  device: party,
  service,
  login,
  legKey: ed25519,
});

const entry: fc.Arbitrary<TicketEntry> = fc.record({ key: ed25519, boot: nonce, addresses });
export const ticket: fc.Arbitrary<Ticket> = fc.record({
  sid: nonce,
  legKey: ed25519,
  entries: fc.array(entry, { minLength: 1, maxLength: 3 }),
  issued: fc.constant(NOW),
  expires: fc.integer({ min: NOW + 1, max: NOW + 24 * 3_600_000 }),
});

const keys = <T>(key: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(key, { minLength: 1, maxLength: 2 });
export const keyList: fc.Arbitrary<KeyList> = fc.record({
  seq: fc.nat(1000),
  issued: milliseconds,
  expires: milliseconds,
  sealing: keys(x25519),
  ticket: keys(ed25519),
  log: ed25519,
  origin: word(60).filter(isKeyName),
});

const opening = {
  seq: fc.integer({ min: 1, max: 1000 }),
  prev: fc.oneof(fc.constant(null), bytesOf(32).map(hex)),
  salt: nonce.map(hex),
  issued: time,
  expires: fc.oneof(fc.constant(null), time),
};

/** Texts of statements; `seq`, `prev` and `expires` are any. */
export const nameText = (owner: string): fc.Arbitrary<string> =>
  fc
    .record({ v: fc.constant(1), kind: fc.constant("name"), subject: name, ...opening, owner: fc.constant(owner) })
    .map(json);
export const bindingText: fc.Arbitrary<string> = fc
  .record({
    v: fc.constant(1),
    kind: fc.constant("binding"),
    subject: fc.tuple(name, member).map(([of, one]) => `${of}/${one}`),
    ...opening,
    role,
    x25519: x25519.map((key) => key.toJSON()),
    ed25519: ed25519.map((key) => key.toJSON()),
  })
  .map(json);
export const rendezvousText: fc.Arbitrary<string> = fc
  .record({
    v: fc.constant(1),
    kind: fc.constant("rendezvous"),
    subject: fc.stringMatching(/^rendezvous:[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/),
    ...opening,
    x25519: x25519.map((key) => key.toJSON()),
    ed25519: ed25519.map((key) => key.toJSON()),
    addresses,
  })
  .map(json);

const SK = "sk-ssh-ed25519@openssh.com";
export const rotationText: fc.Arbitrary<string> = fc
  .record({
    ...{ v: fc.constant(1), kind: fc.constant("rotation"), subject: name },
    ...opening,
    owner: fc.oneof(
      ed25519.map((key) => ed25519Line(key)),
      ed25519.map((key) => parsePublicKeyBlob(concat(sshString(SK), sshString(key.bytes), sshString("ssh:"))).line),
    ),
  })
  .map(json);
export const delegationSubject = fc.tuple(name, nonce).map(([of, id]) => `${of}:delegation:${hex(id).slice(0, 16)}`);
export const pattern = fc.oneof(
  member,
  fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,34}\*$/),
  fc.constantFrom("*", "sensor-*"),
);
export const revocationText: fc.Arbitrary<string> = fc
  .record({
    ...{ v: fc.constant(1), kind: fc.constant("revocation") },
    subject: fc.oneof(
      fc.tuple(name, member).map(([of, one]) => `${of}/${one}`),
      delegationSubject,
    ),
    ...opening,
    reason: fc.string({ maxLength: 60 }),
  })
  .map(json);
export const delegationText: fc.Arbitrary<string> = fc
  .record({
    ...{ v: fc.constant(1), kind: fc.constant("delegation"), subject: delegationSubject },
    ...opening,
    ...{ key: ed25519.map((key) => key.toJSON()), role, pattern, uses: fc.integer({ min: 1, max: 1_000_000 }) },
  })
  .map(json);
export const policyText: fc.Arbitrary<string> = fc
  .record({
    ...{ v: fc.constant(1), kind: fc.constant("policy"), subject: name.map((of) => `${of}:policy`) },
    ...opening,
    policy: fc.oneof(fc.string({ maxLength: 200 }), fc.constant("grants: []\n"), fc.constant("#".repeat(7168))),
  })
  .map(json);

export function json(value: unknown): string {
  return JSON.stringify(value);
}

const mpint = (bits: number): fc.Arbitrary<Uint8Array> =>
  bytesOf(bits / 8).map((bytes) => {
    const number = bytes.slice();
    number[0] = (number[0] ?? 0) | 0x80;
    number[number.length - 1] = (number.at(-1) ?? 0) | 1;
    return concat(Uint8Array.of(0), number);
  });
const point = (size: number): fc.Arbitrary<Uint8Array> => bytesOf(2 * size).map((xy) => concat(Uint8Array.of(4), xy));
const blobOf = (type: string, ...fields: readonly fc.Arbitrary<Uint8Array>[]): fc.Arbitrary<Uint8Array> =>
  fc.tuple(...fields).map((values) => concat(sshString(type), ...values.map((value) => sshString(value))));
const curve = (of: string): fc.Arbitrary<Uint8Array> => fc.constant(utf8(of));
const key32 = ed25519.map((key) => key.bytes);
const application = fc.constantFrom(utf8("ssh:"), utf8("ssh:work"));

/** Public keys of every type that we know, as blobs. */
export const publicKeyBlob: fc.Arbitrary<Uint8Array> = fc.oneof(
  { arbitrary: blobOf("ssh-ed25519", key32), weight: 3 },
  blobOf("sk-ssh-ed25519@openssh.com", key32, application),
  blobOf("ecdsa-sha2-nistp256", curve("nistp256"), point(32)),
  blobOf("ecdsa-sha2-nistp384", curve("nistp384"), point(48)),
  blobOf("ecdsa-sha2-nistp521", curve("nistp521"), point(66)),
  blobOf("sk-ecdsa-sha2-nistp256@openssh.com", curve("nistp256"), point(32), application),
  blobOf("ssh-rsa", fc.constant(Uint8Array.of(1, 0, 1)), mpint(2048)),
);
export const publicKeyLine = publicKeyBlob.map((blob) => parsePublicKeyBlob(blob).line);
export const ownerLine = ed25519.map((key) => ed25519Line(key));
