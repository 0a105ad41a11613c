import * as fc from "fast-check";
import * as v from "valibot";
import { ByteReader, ByteWriter, equalBytes, prefixed16, utf8, utf8Text } from "../../../keys/bytes.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine } from "../../../keys/openssh.ts";
import type { SignedText } from "../../../keys/signed-text.ts";
import { signSshsig } from "../../../keys/sshsig.ts";
import { decideActivation, isFirst, proveActivation } from "../../../directory/accounts/activation.ts";
import { parseCanonicalJson } from "../../../protocol/canonical-json.ts";
import { judgeHostKeys } from "../../../protocol/host-keys.ts";
import { signKeyList, verifyKeyList } from "../../../protocol/key-list.ts";
import { encodeLegHello, parseLegHello } from "../../../protocol/leg-hello.ts";
import { ACTIVATION_NAMESPACE, activationProof } from "../../../protocol/messages/activation.ts";
import { encodePrologue } from "../../../protocol/messages/prologue.ts";
import { encodeNotify, parseNotify } from "../../../protocol/messages/session-request.ts";
import { checkTicket } from "../../../protocol/session/ticket-check.ts";
import { readSignedText, writeSignedText } from "../../../protocol/signed-text-wire.ts";
import { isExpired } from "../../../protocol/statement-fields.ts";
import { isRegion } from "../../../protocol/region.ts";
import {
  isRendezvousName,
  verifyBinding,
  verifyNameStatement,
  verifyRendezvousStatement,
} from "../../../protocol/statements.ts";
import { isTicketKeyKnown, saidSid, signTicket, verifyTicket } from "../../../protocol/ticket.ts";
import { HelloJudge } from "../../../rendezvous/hello-verdict.ts";
import { verifyNotify } from "../../../sshnpd/verify-notify.ts";
import { cast, NOW, statementsOf } from "../../protocol/fixtures.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { fits, keyListOf, keyOf, SIGNATURE_BYTES, signed, signedTicket, statementJson } from "../signing.ts";
import { bytesParser, type Parser, textParser } from "../subject.ts";

const FIELDS = words(
  ...'"v":1 "kind":"name" "kind":"binding" "kind":"rendezvous" "seq":1 "seq":0 "prev":null "expires":null "role":"client"'.split(
    " ",
  ),
  ..."sshnp/1 rendezvous:eu1 @client @client/laptop-client @device/mygateway tcp://a:1 wss://[::1]:443".split(" "),
);

/** Of rows that verify several signatures for each input. */
const OF_PARTS = "it judges what other rows have parsed: statements, tickets and hellos get their whole share there";

const someJson = v.strictObject({
  v: v.literal(1),
  text: v.string(),
  number: v.nullable(v.number()),
  list: v.array(v.boolean()),
});

export const STATEMENT_PARSERS: readonly Parser[] = [
  {
    name: "canonical JSON",
    covers: ["protocol/canonical-json.ts#parseCanonicalJson"],
    make: () =>
      textParser({
        samples: fc
          .record({
            v: fc.constant(1),
            text: fc.string(),
            number: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0)),
            list: fc.array(fc.boolean()),
          })
          .map(of.json),
        parse: (text) => parseCanonicalJson(someJson, text, "a text"),
        print: (value) => JSON.stringify(value),
        words: words('"v":1', '"text":', '"number":null'),
      }),
  },
  {
    name: "name statement, signed anew",
    share: 0.7,
    covers: ["protocol/statements.ts#verifyNameStatement"],
    make: ({ suite }) => {
      const key = keyOf(suite, 1);
      const owner = ed25519Line(key.publicKey);
      return textParser({
        samples: of.nameText(owner),
        parse: (text) => verifyNameStatement(suite, signed(suite, key, "name", text)).statement,
        print: ({ name: subject, owner: line, ...fields }) => statementJson({ ...fields, subject }, { owner: line }),
        words: FIELDS,
      });
    },
  },
  {
    name: "binding, signed anew",
    share: 0.7,
    covers: ["protocol/statements.ts#verifyBinding"],
    make: ({ suite }) => {
      const key = keyOf(suite, 1);
      const owner = ed25519Line(key.publicKey);
      return textParser({
        samples: of.bindingText,
        parse: (text) => verifyBinding(suite, signed(suite, key, "binding", text), owner).statement,
        print: ({ name, member, role, x25519, ed25519, ...fields }) =>
          statementJson({ ...fields, subject: `${name}/${member}` }, { role, x25519, ed25519 }),
        holds: (statement) => !isExpired(statement, (statement.expires ?? 1) - 1),
        words: FIELDS,
      });
    },
  },
  {
    name: "rendezvous statement, signed anew",
    share: 0.7,
    covers: ["protocol/statements.ts#verifyRendezvousStatement"],
    make: ({ suite }) => {
      const key = keyOf(suite, 1);
      const root = ed25519Line(key.publicKey);
      return textParser({
        samples: of.rendezvousText,
        parse: (text) => verifyRendezvousStatement(suite, signed(suite, key, "rendezvous", text), root).statement,
        print: ({ rendezvous, x25519, ed25519, addresses, ...fields }) =>
          statementJson({ ...fields, subject: `rendezvous:${rendezvous}` }, { x25519, ed25519, addresses }),
        words: FIELDS,
      });
    },
  },
  {
    name: "key list, signed anew",
    covers: ["protocol/key-list.ts#verifyKeyList"],
    make: ({ suite }) => {
      const root = keyOf(suite, 1);
      const rootFingerprint = fingerprint(suite, parsePublicKeyLine(ed25519Line(root.publicKey)).blob);
      return textParser({
        samples: of.keyList.map((list) => signKeyList(suite, root, list).text),
        parse: (text) => {
          return verifyKeyList(suite, signed(suite, root, "keys", text), rootFingerprint).list;
        },
        print: (list) => signKeyList(suite, root, list).text,
        words: FIELDS,
      });
    },
  },
  {
    name: "statements, their bytes as they come",
    share: 0.3,
    covers: [
      "protocol/statements.ts#verifyNameStatement",
      "protocol/statements.ts#verifyBinding",
      "protocol/statements.ts#verifyRendezvousStatement",
    ],
    dictionary: FIELDS,
    make: ({ suite }) => {
      const { client, device, directory, rendezvous } = cast(suite);
      const whole = (text: SignedText): Uint8Array => {
        const writer = new ByteWriter();
        writeSignedText(writer, text);
        return writer.done();
      };
      const originals = [client.nameStatement, device.binding, rendezvous.statement].map(whole);
      const deviceOwner = ed25519Line(device.owner.publicKey);
      const root = ed25519Line(directory.root.publicKey);
      return bytesParser({
        samples: fc.constantFrom(...originals),
        parse: (bytes) => {
          const reader = new ByteReader(bytes);
          const given = readSignedText(reader);
          reader.end();
          if (given.text.includes('"kind":"binding"')) return verifyBinding(suite, given, deviceOwner);
          if (given.text.includes('"kind":"name"')) return verifyNameStatement(suite, given);
          return verifyRendezvousStatement(suite, given, root);
        },
        holds: (_, bytes) => originals.some((original) => Buffer.compare(original, bytes) === 0),
      });
    },
  },
  {
    name: "name of a rendezvous",
    covers: ["protocol/statements.ts#isRendezvousName"],
    make: () =>
      textParser({
        samples: fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/),
        parse: (text) => isRendezvousName(text),
        holds: (_, text) => text.length <= 32 && !text.startsWith("-") && !text.endsWith("-"),
      }),
  },
  {
    name: "region of a rendezvous",
    covers: ["protocol/region.ts#isRegion"],
    make: () =>
      textParser({
        samples: fc.stringMatching(/^(?:[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)?$/),
        parse: (text) => isRegion(text),
        holds: (_, text) => text.length <= 32 && !text.startsWith("-") && !text.endsWith("-"),
      }),
  },
  {
    name: "ticket, signed anew",
    share: 0.7,
    covers: ["protocol/ticket.ts#verifyTicket", "protocol/ticket.ts#isTicketKeyKnown", "protocol/ticket.ts#saidSid"],
    dictionary: FIELDS,
    make: ({ suite }) => {
      const key = keyOf(suite, 1);
      return bytesParser({
        samples: of.ticket
          .filter(fits(suite))
          .map((ticket) => signTicket(suite, key, ticket).subarray(0, -SIGNATURE_BYTES)),
        parse: (fields) => {
          const bytes = signedTicket(suite, key, fields);
          isTicketKeyKnown(suite, [key.publicKey], bytes);
          const said = saidSid(bytes);
          const ticket = verifyTicket(suite, [key.publicKey], bytes);
          if (!equalBytes(said, ticket.sid)) throw new Error("the log names another session than the ticket");
          return ticket;
        },
        print: (ticket) => signTicket(suite, key, ticket).subarray(0, -SIGNATURE_BYTES),
      });
    },
  },
  {
    name: "ticket, its bytes as they come",
    share: 0.3,
    covers: ["protocol/ticket.ts#verifyTicket", "protocol/ticket.ts#isTicketKeyKnown", "protocol/ticket.ts#saidSid"],
    make: ({ suite }) => {
      const key = keyOf(suite, 1);
      return bytesParser({
        samples: of.ticket.filter(fits(suite)).map((ticket) => signTicket(suite, key, ticket)),
        parse: (bytes) => {
          saidSid(bytes);
          return isTicketKeyKnown(suite, [key.publicKey], bytes) && verifyTicket(suite, [key.publicKey], bytes);
        },
        print: (ticket) => signTicket(suite, key, ticket),
      });
    },
  },
  {
    name: "ticket that an end checks, signed anew",
    share: 0.3,
    because: OF_PARTS,
    covers: ["protocol/session/ticket-check.ts#checkTicket"],
    dictionary: FIELDS,
    make: ({ suite }) => {
      const { directory, rendezvous } = cast(suite);
      const legKey = keyOf(suite, 2);
      const sid = new Uint8Array(16).fill(5);
      const keyList = keyListOf(suite);
      const entries = [{ key: rendezvous.ed25519.publicKey, boot: rendezvous.boot, addresses: rendezvous.addresses }];
      return bytesParser({
        samples: fc.integer({ min: NOW + 1, max: NOW + 1e6 }).map((expires) =>
          signTicket(suite, directory.ticket, {
            sid,
            legKey: legKey.publicKey,
            entries,
            issued: NOW,
            expires,
          }).subarray(0, -SIGNATURE_BYTES),
        ),
        parse: (fields) => {
          const ticket = signedTicket(suite, directory.ticket, fields);
          const session = { sid, legKey: legKey.publicKey };
          return checkTicket(suite, keyList, session, { ticket, rendezvous: [rendezvous.statement] }, NOW);
        },
        holds: ({ ticket: { entries: found }, newest }) =>
          newest.length === found.length &&
          found.every(
            ({ key, addresses }) =>
              key.equals(rendezvous.ed25519.publicKey) && addresses.every((one) => rendezvous.addresses.includes(one)),
          ),
      });
    },
  },
  {
    name: "request that a device verifies",
    share: 0.3,
    because: OF_PARTS,
    covers: ["sshnpd/verify-notify.ts#verifyNotify", "protocol/session/ticket-check.ts#checkTicket"],
    dictionary: FIELDS,
    make: ({ suite }) => {
      const { client, device, directory, rendezvous } = cast(suite);
      const legKey = keyOf(suite, 2);
      const sid = new Uint8Array(16).fill(5);
      const self = { name: device.name, member: device.member, bindingHash: suite.sha256(utf8(device.binding.text)) };
      const asking = { name: client.name, member: client.member, bindingHash: suite.sha256(utf8(client.binding.text)) };
      const prologueBytes = encodePrologue({
        sid,
        client: asking,
        device: self,
        service: "ssh",
        login: "pi",
        legKey: legKey.publicKey,
      });
      const ticket = signTicket(suite, directory.ticket, {
        sid,
        legKey: legKey.publicKey,
        entries: [{ key: rendezvous.ed25519.publicKey, boot: rendezvous.boot, addresses: rendezvous.addresses }],
        issued: NOW,
        expires: NOW + 60_000,
      });
      const grounds = { device: self, keyList: keyListOf(suite), now: NOW };
      return bytesParser({
        samples: of.someBytes(1400).map((message1) =>
          encodeNotify({
            prologueBytes,
            message1,
            ticket,
            client: statementsOf(client),
            rendezvous: [rendezvous.statement],
            proof: utf8("a proof of the log"),
          }),
        ),
        parse: (bytes) => {
          const notify = parseNotify(bytes);
          return { notify, ticket: verifyNotify(suite, grounds, notify).ticket };
        },
        print: ({ notify }) => encodeNotify(notify),
        holds: ({ ticket: verified }) => Buffer.compare(verified.sid, sid) === 0,
      });
    },
  },
  {
    name: "host keys of a device",
    covers: ["protocol/host-keys.ts#judgeHostKeys"],
    make: ({ suite }) => {
      const lines = [1, 2].map((seed) => parsePublicKeyLine(ed25519Line(keyOf(suite, seed).publicKey)));
      const [pinnedKey] = lines;
      if (pinnedKey === undefined) throw new Error("there are two");
      const pin = {
        v: 1,
        name: "@device",
        member: "mygateway",
        owner: "",
        binding: { text: "", signature: "" },
        delegation: null,
        hostKeys: [pinnedKey.line],
        accepted: [],
      } as const;
      return bytesParser({
        samples: fc
          .array(of.publicKeyBlob, { maxLength: 4 })
          .map((blobs) =>
            prefixed16(pinnedKey.blob, ...blobs.filter((blob) => !Buffer.from(blob).includes("ssh-ed25519"))),
          ),
        parse: (bytes) => {
          const reader = new ByteReader(bytes);
          const presented: Uint8Array[] = [];
          while (reader.remaining > 0) presented.push(reader.bytes16());
          return judgeHostKeys(suite, "mygateway.device.np", pin, presented);
        },
        // Nothing but what was pinned is let in, whatever is presented beside it.
        holds: ({ hostKeys }) => hostKeys.length === 1 && hostKeys[0] === pinnedKey.line,
      });
    },
  },
  {
    name: "activation that a directory proves, signed anew",
    share: 0.2,
    because: OF_PARTS,
    covers: ["directory/accounts/activation.ts#proveActivation", "directory/accounts/activation.ts#isFirst"],
    dictionary: FIELDS,
    make: ({ suite }) => {
      const { client, device } = cast(suite);
      const owner = ed25519Line(client.owner.publicKey);
      const context = {
        sender: client.x25519.publicKey,
        fingerprint: fingerprint(suite, utf8("a directory")),
        now: NOW,
      };
      const secret = keyOf(suite, 7);
      return bytesParser({
        samples: of.nonce.map((nonce) => prefixed16(utf8(client.nameStatement.text), utf8(client.binding.text), nonce)),
        parse: (bytes) => {
          const reader = new ByteReader(bytes);
          const [nameText, bindingText] = [utf8Text(reader.bytes16()), utf8Text(reader.bytes16())];
          const nonce = reader.exactly16(16);
          reader.end();
          const proof = activationProof(
            { nonce, directoryFingerprint: context.fingerprint },
            owner,
            verifyBinding(suite, client.binding, owner).statement,
          );
          const activation = {
            nonce,
            name: signed(suite, client.owner, "name", nameText),
            binding: signed(suite, client.owner, "binding", bindingText),
            ownerSignature: signSshsig(suite, client.owner, ACTIVATION_NAMESPACE, proof),
            activationSignature: suite.sign(secret, proof),
          };
          const proved = proveActivation(suite, activation, context);
          if ("refused" in proved) return undefined;
          const record = { added: NOW, activationKey: secret.publicKey, statements: [] };
          const state = { name: record, member: undefined, isKeyTaken: false };
          return { proved, decision: decideActivation(suite, proved, state, device.ed25519.publicKey) };
        },
        holds: ({ proved, decision }) =>
          decision === "store" &&
          isFirst(proved.name.statement, NOW) &&
          proved.binding.statement.x25519.equals(context.sender),
      });
    },
  },
  {
    name: "hello that a rendezvous judges, its ticket and claim signed anew",
    share: 0.3,
    because: OF_PARTS,
    covers: ["protocol/leg-hello.ts#verifyLegClaim"],
    dictionary: FIELDS,
    make: ({ suite }) => {
      const { directory, rendezvous } = cast(suite);
      const legKey = keyOf(suite, 2);
      const sid = new Uint8Array(16).fill(5);
      const entries = [{ key: rendezvous.ed25519.publicKey, boot: rendezvous.boot, addresses: rendezvous.addresses }];
      const self = { suite, key: rendezvous.ed25519.publicKey, boot: rendezvous.boot };
      const ticket = { sid, legKey: legKey.publicKey, entries, issued: NOW, expires: NOW + 60_000 };
      return bytesParser({
        // Role and try of the claim, then the fields of the ticket.
        samples: fc.tuple(of.role, of.u32).map(([role, dial]) =>
          new ByteWriter()
            .u8(role === "client" ? 0 : 1)
            .u32(dial)
            .raw(signTicket(suite, directory.ticket, ticket).subarray(0, -SIGNATURE_BYTES))
            .done(),
        ),
        parse: (bytes) => {
          const reader = new ByteReader(bytes);
          const role = (reader.u8() & 1) === 0 ? "client" : "device";
          const dial = reader.u32();
          const claim = { rendezvous: self.key, boot: self.boot, sid, role, dial } as const;
          const signedBytes = signedTicket(suite, directory.ticket, reader.rest());
          const framed = encodeLegHello(suite, legKey, signedBytes, claim);
          const hello = parseLegHello(framed)?.hello;
          if (hello === undefined) throw new Error("a whole hello is whole");
          const verdict = judgeOf(self, directory).judge(hello, NOW);
          return typeof verdict === "object" && "ticket" in verdict ? verdict.ticket : undefined;
        },
        holds: (found) => Buffer.compare(found.sid, sid) === 0 && found.legKey.equals(legKey.publicKey),
      });
    },
  },
  {
    name: "hello that a rendezvous judges, its bytes as they come",
    share: 0.3,
    because: OF_PARTS,
    covers: ["protocol/leg-hello.ts#parseLegHello", "protocol/leg-hello.ts#verifyLegClaim"],
    make: ({ suite }) => {
      const { directory, rendezvous } = cast(suite);
      const legKey = keyOf(suite, 2);
      const sid = new Uint8Array(16).fill(5);
      const entries = [{ key: rendezvous.ed25519.publicKey, boot: rendezvous.boot, addresses: rendezvous.addresses }];
      const self = { suite, key: rendezvous.ed25519.publicKey, boot: rendezvous.boot };
      const ticket = signTicket(suite, directory.ticket, {
        sid,
        legKey: legKey.publicKey,
        entries,
        issued: NOW,
        expires: NOW + 60_000,
      });
      const claim = (dial: number) => ({ rendezvous: self.key, boot: self.boot, sid, role: "client" as const, dial });
      return bytesParser({
        samples: of.u32.map((dial) => encodeLegHello(suite, legKey, ticket, claim(dial))),
        parse: (bytes) => {
          const parsed = parseLegHello(bytes);
          if (parsed === undefined) return undefined;
          const verdict = judgeOf(self, directory).judge(parsed.hello, NOW);
          return typeof verdict === "object" && "ticket" in verdict ? parsed : undefined;
        },
        // No other hello than what the holder of the leg key made for this dial.
        holds: ({ hello, length }, bytes) =>
          Buffer.compare(encodeLegHello(suite, legKey, ticket, claim(hello.dial)), bytes.subarray(0, length)) === 0,
      });
    },
  },
];

function judgeOf(
  self: ConstructorParameters<typeof HelloJudge>[0],
  { ticket }: { readonly ticket: { readonly publicKey: Parameters<HelloJudge["use"]>[0][number] } },
): HelloJudge {
  const judge = new HelloJudge(self);
  judge.use([ticket.publicKey], NOW + 1);
  return judge;
}
