import * as fc from "fast-check";
import {
  base64,
  ByteReader,
  ByteWriter,
  concat,
  fromBase64,
  fromHex,
  hex,
  prefixed16,
  utf8,
  utf8Text,
} from "../../../keys/bytes.ts";
import { isFieldElement } from "../../../keys/curve25519.ts";
import { Ed25519PrivateKey, Ed25519PublicKey } from "../../../keys/ed25519.ts";
import {
  clientMember,
  hostName,
  isMember,
  isName,
  parseHostName,
  parseMember,
  parseName,
} from "../../../keys/names.ts";
import {
  ed25519FromBlob,
  ed25519FromLine,
  ed25519Line,
  fingerprint,
  isFingerprint,
  parseFingerprint,
  parsePublicKeyBlob,
  parsePublicKeyLine,
  sshString,
} from "../../../keys/openssh.ts";
import { parseCramSecret } from "../../../keys/secret.ts";
import { armor, dearmor, parseSshsig, type Sshsig, signSshsig, verifySshsig } from "../../../keys/sshsig.ts";
import { X25519PublicKey } from "../../../keys/x25519.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { bytesParser, type Parser, textParser } from "../subject.ts";

const KEY_WORDS = words(
  "ssh-ed25519",
  "ssh-rsa",
  "ecdsa-sha2-nistp256",
  "nistp384",
  "SSHSIG",
  "sha256",
  "sha512",
  "AAAA",
  "==",
);

export const KEY_PARSERS: readonly Parser[] = [
  {
    name: "UTF-8",
    covers: ["keys/bytes.ts#utf8Text"],
    make: () =>
      bytesParser({
        samples: fc.string({ unit: "grapheme", maxLength: 60 }).map(utf8),
        parse: (bytes) => ({ text: utf8Text(bytes) }),
        print: ({ text }) => utf8(text),
      }),
  },
  {
    name: "hex",
    covers: ["keys/bytes.ts#fromHex"],
    make: () =>
      textParser({ samples: of.someBytes(60).map(hex), parse: (text) => fromHex(text), print: (bytes) => hex(bytes) }),
  },
  {
    name: "base64",
    covers: ["keys/bytes.ts#fromBase64"],
    make: () => textParser({ samples: of.someBytes(90).map(base64), parse: (text) => fromBase64(text), print: base64 }),
  },
  {
    name: "fields of a message",
    covers: ["keys/bytes.ts#ByteReader"],
    make: () =>
      bytesParser({
        // Integers of each size, then fields with lengths of each size.
        samples: fc
          .tuple(of.someBytes(40), of.someBytes(40), of.someBytes(40), fc.string({ maxLength: 30 }), of.milliseconds)
          .map(([one, two, three, text, time]) =>
            new ByteWriter()
              .u8(7)
              .u16(8)
              .u24(9)
              .u32(10)
              .u64(time)
              .bytes8(one)
              .bytes16(two)
              .bytes32(three)
              .text8(text)
              .text16(text)
              .done(),
          ),
        parse: (bytes) => {
          const reader = new ByteReader(bytes);
          const numbers = [reader.u8(), reader.u16(), reader.u24(), reader.u32(), reader.u64()] as const;
          const fields = [reader.bytes8(), reader.bytes16(), reader.bytes32()] as const;
          const texts = [reader.text8(), reader.text16()] as const;
          reader.end();
          return { numbers, fields, texts };
        },
        print: ({ numbers: [a, b, c, d, e], fields: [f, g, h], texts: [i, j] }) =>
          new ByteWriter().u8(a).u16(b).u24(c).u32(d).u64(e).bytes8(f).bytes16(g).bytes32(h).text8(i).text16(j).done(),
      }),
  },
  {
    name: "fields of exact length",
    covers: ["keys/bytes.ts#ByteReader"],
    make: () =>
      bytesParser({
        samples: fc.tuple(of.nonce, of.someBytes(60)).map(([sixteen, rest]) => concat(prefixed16(sixteen), rest)),
        parse: (bytes) => {
          const reader = new ByteReader(bytes);
          const field = reader.exactly16(16);
          const left = reader.remaining;
          const rest = reader.rest();
          if (rest.length !== left || reader.remaining !== 0) throw new TypeError("the rest is not all that is left");
          return { field, rest };
        },
        print: ({ field, rest }) => concat(prefixed16(field), rest),
      }),
  },
  {
    name: "Ed25519 public key",
    covers: ["keys/ed25519.ts#Ed25519PublicKey", "keys/curve25519.ts#isFieldElement"],
    make: () =>
      bytesParser({
        samples: of.ed25519.map((key) => key.bytes),
        parse: (bytes) => Ed25519PublicKey.parse(bytes),
        print: (key) => key.bytes,
        holds: (key) => key.equals(Ed25519PublicKey.parse(fromBase64(key.toJSON(), 32))),
      }),
  },
  {
    name: "X25519 public key",
    covers: ["keys/x25519.ts#X25519PublicKey", "keys/curve25519.ts#isFieldElement"],
    make: () =>
      bytesParser({
        samples: of.x25519.map((key) => key.bytes),
        parse: (bytes) => X25519PublicKey.parse(bytes),
        print: (key) => key.bytes,
        holds: (key) => isFieldElement(key.bytes),
      }),
  },
  {
    name: "OpenSSH public key line",
    covers: ["keys/openssh.ts#parsePublicKeyLine"],
    make: () =>
      textParser({
        samples: fc
          .tuple(of.publicKeyLine, fc.constantFrom("", "\n", " pi@laptop", " a comment, ä\n"))
          .map(([line, end]) => line + end),
        parse: (text) => parsePublicKeyLine(text),
        // Comment and line end are all that may be lost.
        holds: ({ line }, text) =>
          text.startsWith(line) &&
          /^(?: [^\p{Cc}]*)?\n?$/u.test(text.slice(line.length)) &&
          parsePublicKeyLine(line).line === line,
        words: KEY_WORDS,
      }),
  },
  {
    name: "OpenSSH public key blob",
    covers: ["keys/openssh.ts#parsePublicKeyBlob"],
    dictionary: KEY_WORDS,
    make: () =>
      bytesParser({
        samples: of.publicKeyBlob,
        parse: (bytes) => parsePublicKeyBlob(bytes),
        print: ({ blob }) => blob,
      }),
  },
  {
    name: "line of an Ed25519 key",
    covers: ["keys/openssh.ts#ed25519FromLine"],
    make: () =>
      textParser({
        samples: of.ownerLine,
        parse: (text) => ed25519FromLine(text),
        print: ed25519Line,
        words: KEY_WORDS,
      }),
  },
  {
    name: "blob of an Ed25519 key",
    covers: ["keys/openssh.ts#ed25519FromBlob"],
    dictionary: KEY_WORDS,
    make: () =>
      bytesParser({
        samples: of.ed25519.map((key) => concat(sshString("ssh-ed25519"), sshString(key.bytes))),
        parse: (bytes) => ed25519FromBlob(bytes),
        print: (key) => concat(sshString("ssh-ed25519"), sshString(key.bytes)),
      }),
  },
  {
    name: "fingerprint",
    covers: ["keys/openssh.ts#parseFingerprint", "keys/openssh.ts#isFingerprint"],
    make: ({ suite }) =>
      textParser({
        samples: of.someBytes(50).map((blob): string => fingerprint(suite, blob)),
        parse: (text) => parseFingerprint(text),
        print: (text) => text,
        holds: (text) => isFingerprint(text) && fromBase64(`${text.slice(7)}=`, 32).length === 32,
      }),
  },
  {
    name: "SSHSIG",
    covers: ["keys/sshsig.ts#parseSshsig"],
    dictionary: KEY_WORDS,
    make: ({ suite }) =>
      bytesParser({
        samples: fc.oneof(
          fc
            .tuple(of.ed25519Secret(suite), of.someBytes(40), of.word(20))
            .map(([key, message, namespace]) => signSshsig(suite, key, namespace, message)),
          fc
            .record({
              blob: of.publicKeyBlob,
              namespace: of.word(20),
              hash: fc.constantFrom("sha256" as const, "sha512" as const),
              signature: of.someBytes(100),
            })
            .map(({ blob, namespace, hash, signature }) =>
              sshsigBlob({ publicKey: parsePublicKeyBlob(blob), namespace, hashAlgorithm: hash, signature }),
            ),
        ),
        parse: (bytes) => parseSshsig(bytes),
        print: sshsigBlob,
      }),
  },
  {
    name: "SSHSIG, its signature made anew",
    share: 0.6,
    covers: ["keys/sshsig.ts#verifySshsig"],
    dictionary: KEY_WORDS,
    make: ({ suite }) => {
      const key = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(3));
      const line = ed25519Line(key.publicKey);
      const message = utf8("a message");
      const hashes = [suite.sha512(message), suite.sha256(message)] as const;
      return bytesParser({
        // What is inside the SSHSIG, behind its key: the signature is over this very namespace, reserved field and hash.
        samples: fc
          .constantFrom("sha512", "sha256")
          .map((hash) => concat(sshString("test"), sshString(""), sshString(hash))),
        parse: (bytes) => {
          const hash = bytes.at(-1) === 0x36 ? hashes[1] : hashes[0];
          const signature = suite.sign(key, concat(utf8("SSHSIG"), bytes, sshString(hash)));
          const { blob } = parsePublicKeyLine(line);
          const wrapped = concat(
            utf8("SSHSIG"),
            Uint8Array.of(0, 0, 0, 1),
            sshString(blob),
            bytes,
            sshString(concat(sshString("ssh-ed25519"), sshString(signature))),
          );
          return verifySshsig(suite, wrapped, "test", message);
        },
        holds: (signer, bytes) => signer === line && bytes.length === 22,
      });
    },
  },
  {
    name: "SSHSIG, its bytes as they come",
    share: 0.4,
    covers: ["keys/sshsig.ts#verifySshsig"],
    make: ({ suite }) => {
      const key = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(3));
      const blob = signSshsig(suite, key, "test", utf8("a message"));
      return bytesParser({
        samples: fc.constant(blob),
        parse: (bytes) => verifySshsig(suite, bytes, "test", utf8("a message")),
        // Nobody but the key's holder makes another one.
        print: () => blob,
      });
    },
  },
  {
    name: "armored SSHSIG",
    covers: ["keys/sshsig.ts#dearmor"],
    make: () =>
      textParser({
        samples: of.someBytes(400).map(armor),
        parse: (text) => dearmor(text),
        print: armor,
        words: words("-----BEGIN SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n", "-----"),
      }),
  },
  {
    name: "name",
    covers: ["keys/names.ts#parseName", "keys/names.ts#isName"],
    make: () =>
      textParser<string>({
        samples: of.name,
        parse: (text) => parseName(text),
        print: (text) => text,
        holds: (text) => isName(text),
      }),
  },
  {
    name: "member",
    covers: ["keys/names.ts#parseMember", "keys/names.ts#isMember"],
    make: () =>
      textParser<string>({
        samples: of.member,
        parse: (text) => parseMember(text),
        print: (text) => text,
        holds: (text) => isMember(text),
        words: words("owner", "proxy", "trust"),
      }),
  },
  {
    name: "host name of a device",
    covers: ["keys/names.ts#parseHostName"],
    make: () =>
      textParser({
        samples: fc.record({ name: of.name, member: of.member }).map(hostName),
        parse: (text) => parseHostName(text),
        print: hostName,
        words: words(".np", ".", "owner"),
      }),
  },
  {
    name: "name of this machine",
    covers: ["keys/names.ts#clientMember"],
    isTotal: true,
    make: () =>
      textParser({
        samples: fc.oneof(fc.domain(), fc.string(), of.member),
        // Whatever the machine is called, it gets a name, unless that would be a reserved word.
        parse: (text) => clientMember(text),
        holds: (text) => isMember(text) && text.endsWith("-client"),
      }),
  },
  {
    name: "activation secret",
    covers: ["keys/secret.ts#parseCramSecret"],
    make: () =>
      textParser({
        samples: fc.tuple(of.bytesOf(32).map(hex), fc.constantFrom("", "\n", "\r\n")).map((parts) => parts.join("")),
        parse: (text) => parseCramSecret(text),
        holds: (secret, text) => hex(secret.secretBytes()) === text.trimEnd(),
      }),
  },
];

/** The blob of an SSHSIG with these fields. */
function sshsigBlob({ publicKey, namespace, hashAlgorithm, signature }: Sshsig): Uint8Array {
  const writer = new ByteWriter().raw(utf8("SSHSIG")).u32(1).bytes32(publicKey.blob).bytes32(utf8(namespace));
  return writer.bytes32(new Uint8Array(0)).bytes32(utf8(hashAlgorithm)).bytes32(signature).done();
}
