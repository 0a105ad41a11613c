import * as fc from "fast-check";
import {
  type AgentAnswer,
  AgentAnswerBuffer,
  encodeKeysRequest,
  encodeSignRequest,
  parseAgentAnswer,
  parseAgentRequest,
  typeOfKey,
} from "../../../keys/agent-messages.ts";
import { ByteReader, ByteWriter, concat, equalBytes, utf8 } from "../../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../../keys/ed25519.ts";
import { SshnpError } from "../../../keys/errors.ts";
import {
  ed25519Line,
  fingerprint,
  parsePublicKeyBlob,
  parsePublicKeyLine,
  skEd25519FromBlob,
  sshString,
} from "../../../keys/openssh.ts";
import { parseOwnerKey } from "../../../keys/owner-signer.ts";
import { parseUserCertificate, signUserCertificate } from "../../../keys/ssh-certificate.ts";
import { ed25519Signature, verifySignature } from "../../../keys/ssh-signature.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { bytesParser, type Parser, streamParser, textParser } from "../subject.ts";

const SK = "sk-ssh-ed25519@openssh.com";
const MESSAGE = utf8("a message");
/** `string` of `string "ssh-ed25519" || string signature`. */
const SIGNATURE_BYTES = 4 + 4 + 11 + 4 + 64;

const answers: fc.Arbitrary<AgentAnswer> = fc.oneof(
  fc
    .array(fc.record({ blob: of.publicKeyBlob, comment: of.someBytes(20) }), { maxLength: 4 })
    .map((keys) => ({ type: "keys" as const, keys })),
  of.someBytes(100).map((signature) => ({ type: "signature" as const, signature })),
  fc.constant({ type: "failure" as const }),
);

/** What is signed with a token, by PROTOCOL.u2f; `said` is flags and counter. */
const TOKEN = {
  application: "ssh:work",
  blob: (key: Ed25519PrivateKey) => concat(sshString(SK), sshString(key.publicKey.bytes), sshString("ssh:work")),
};

export const AGENT_PARSERS: readonly Parser[] = [
  {
    name: "answer of an SSH agent",
    covers: ["keys/agent-messages.ts#parseAgentAnswer"],
    make: () => bytesParser({ samples: answers.map(encodeAnswer), parse: parseAgentAnswer, print: encodeAnswer }),
  },
  {
    name: "request to an SSH agent",
    covers: ["keys/agent-messages.ts#parseAgentRequest"],
    make: () =>
      bytesParser({
        samples: fc
          .oneof(
            fc.constant(encodeKeysRequest()),
            fc.tuple(of.publicKeyBlob, of.someBytes(100)).map(([key, data]) => encodeSignRequest(key, data)),
          )
          .map((message) => message.subarray(4)),
        parse: parseAgentRequest,
        holds: (request, bytes) => {
          const again = request.type === "keys" ? encodeKeysRequest() : encodeSignRequest(request.key, request.data);
          // Flags mean nothing for the one kind of key that is here.
          return equalBytes(again.subarray(4, again.length - 4), bytes.subarray(0, bytes.length - 4));
        },
      }),
  },
  {
    name: "SSH user certificate, its bytes as they come",
    share: 0.5,
    covers: ["keys/ssh-certificate.ts#parseUserCertificate"],
    make: ({ suite }) => {
      const key = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(3));
      const blob = signUserCertificate(suite, (length) => new Uint8Array(length), key, {
        ...{ key: key.publicKey, keyId: "sshnp @client/laptop 00", principals: ["pi"], sourceAddress: "127.0.0.1/32" },
        ...{ validAfter: 1_700_000_000, validBefore: 1_700_000_300 },
      });
      return bytesParser({
        samples: fc.constant(blob),
        parse: (bytes) => parseUserCertificate(suite, bytes),
        // Nobody but the key's holder makes another one.
        print: () => blob,
      });
    },
  },
  {
    name: "SSH user certificate, its signature made anew",
    share: 0.5,
    covers: ["keys/ssh-certificate.ts#parseUserCertificate"],
    make: ({ suite }) => {
      const key = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(3));
      const sample = fc
        .record({
          ...{ keyId: fc.string({ maxLength: 20 }), principal: of.login, others: fc.array(of.login, { maxLength: 2 }) },
          ...{ validAfter: fc.nat(), validBefore: fc.nat() },
          sourceAddress: fc.constantFrom(undefined, "127.0.0.1/32,::1/128"),
        })
        .map(({ principal, others, ...rest }) =>
          signUserCertificate(suite, (length) => new Uint8Array(length), key, {
            ...{ ...rest, key: key.publicKey, principals: [principal, ...others] },
          }),
        );
      return bytesParser({
        samples: sample.map((blob) => blob.subarray(0, -SIGNATURE_BYTES)),
        parse: (signed) =>
          parseUserCertificate(suite, concat(signed, sshString(ed25519Signature(suite.sign(key, signed))))),
        holds: ({ principals, authority }) => principals.length > 0 && authority.equals(key.publicKey),
      });
    },
  },
  {
    name: "answer of an SSH agent, in pieces",
    covers: ["keys/agent-messages.ts#AgentAnswerBuffer"],
    make: () =>
      streamParser({
        samples: answers.map((answer) => sshString(encodeAnswer(answer))),
        run: (chunks) => {
          const buffer = new AgentAnswerBuffer();
          const values: Uint8Array[] = [];
          try {
            for (const chunk of chunks) {
              const whole = buffer.push(chunk);
              if (whole !== undefined) values.push(whole);
            }
          } catch (error) {
            if (error instanceof SshnpError) return { values, end: error.code };
            throw error;
          }
          return { values: values.slice(0, 1), end: "more" };
        },
        isAccepted: ({ values, end }) => values.length === 1 && end === "more",
      }),
  },
  {
    name: "type of a key in an SSH agent",
    covers: ["keys/agent-messages.ts#typeOfKey"],
    make: () =>
      bytesParser({
        samples: of.publicKeyBlob,
        parse: (blob) => typeOfKey({ blob, comment: new Uint8Array(0) }),
        holds: (type, blob) => /^[ -~]{1,64}$/.test(type) && new ByteReader(blob).u32() === type.length,
      }),
  },
  {
    name: "key on a FIDO2 token",
    covers: ["keys/openssh.ts#skEd25519FromBlob"],
    dictionary: words(SK, "ssh:", "ssh-ed25519"),
    make: () =>
      bytesParser({
        samples: of.publicKeyBlob.filter((blob) => parsePublicKeyBlob(blob).type === SK),
        parse: (blob) => skEd25519FromBlob(blob),
        print: ({ key, application }) => concat(sshString(SK), sshString(key.bytes), sshString(application)),
      }),
  },
  {
    name: "owner key in an SSH agent",
    covers: ["keys/owner-signer.ts#parseOwnerKey"],
    make: ({ suite }) =>
      textParser({
        samples: of.someBytes(50).map((blob) => `agent:${fingerprint(suite, blob)}`),
        parse: (text) => parseOwnerKey(text),
        print: (wanted) => `agent:${wanted.fingerprint}`,
        words: words("agent:", "SHA256:", "file:"),
      }),
  },
  {
    name: "signature of a FIDO2 token, made anew",
    share: 0.6,
    covers: ["keys/ssh-signature.ts#verifySignature"],
    make: ({ suite }) => {
      const key = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(4));
      const line = parsePublicKeyBlob(TOKEN.blob(key));
      return bytesParser({
        // What a token says beside its signature, which is over this.
        samples: fc
          .tuple(fc.constantFrom(0x01, 0x05, 0x45, 0x81), fc.nat(0xffffffff))
          .map(([flags, counter]) => new ByteWriter().u8(flags).u32(counter).done()),
        parse: (said) => {
          const signed = concat(suite.sha256(utf8(TOKEN.application)), said, suite.sha256(MESSAGE));
          const signature = concat(sshString(SK), sshString(suite.sign(key, signed)), said);
          return verifySignature(suite, line, signature, MESSAGE);
        },
        holds: (_, said) => said.length === 5 && (said[0] ?? 0) % 2 === 1,
      });
    },
  },
  {
    name: "signature in SSH's encoding",
    share: 0.4,
    covers: ["keys/ssh-signature.ts#verifySignature"],
    dictionary: words(SK, "ssh-ed25519"),
    make: ({ suite }) => {
      const key = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(4));
      const token = parsePublicKeyBlob(TOKEN.blob(key));
      const plain = parsePublicKeyLine(ed25519Line(key.publicKey));
      const said = Uint8Array.of(1, 0, 0, 0, 9);
      const signed = concat(suite.sha256(utf8(TOKEN.application)), said, suite.sha256(MESSAGE));
      const byToken = concat(sshString(SK), sshString(suite.sign(key, signed)), said);
      const byPlain = ed25519Signature(suite.sign(key, MESSAGE));
      return bytesParser({
        samples: fc.constantFrom(byToken, byPlain),
        parse: (bytes) => {
          const signer = bytes.length === byToken.length ? token : plain;
          return verifySignature(suite, signer, bytes, MESSAGE) ? signer : undefined;
        },
        // Nobody but the key's holder makes another one.
        print: (signer) => (signer === token ? byToken : byPlain),
      });
    },
  },
];

function encodeAnswer(answer: AgentAnswer): Uint8Array {
  switch (answer.type) {
    case "failure":
      return Uint8Array.of(5);
    case "signature":
      return new ByteWriter().u8(14).bytes32(answer.signature).done();
    case "keys": {
      const writer = new ByteWriter().u8(12).u32(answer.keys.length);
      for (const { blob, comment } of answer.keys) writer.bytes32(blob).bytes32(comment);
      return writer.done();
    }
  }
}
