import * as fc from "fast-check";
import * as v from "valibot";
import { ByteReader, ByteWriter, concat, prefixed16, utf8, utf8Text } from "../../../keys/bytes.ts";
import type { CipherSuite } from "../../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../../keys/ed25519.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine, sshString } from "../../../keys/openssh.ts";
import type { SignedText } from "../../../keys/signed-text.ts";
import { signSshsig } from "../../../keys/sshsig.ts";
import { decideActivation, isFirst, proveActivation } from "../../../directory/accounts/activation.ts";
import { nameOfBinding, proveBinding } from "../../../directory/accounts/put-statement.ts";
import { parseCanonicalJson } from "../../../protocol/canonical-json.ts";
import { judgeHostKeys } from "../../../protocol/host-keys.ts";
import { signKeyList, verifyKeyList } from "../../../protocol/key-list.ts";
import { encodeLegHello, parseLegHello } from "../../../protocol/leg-hello.ts";
import { ACTIVATION_NAMESPACE, activationProof } from "../../../protocol/messages/activation.ts";
import { encodePrologue } from "../../../protocol/messages/prologue.ts";
import { encodeNotify, parseNotify } from "../../../protocol/messages/session-request.ts";
import { judgeOwner, judgePeer } from "../../../protocol/peers.ts";
import { checkTicket } from "../../../protocol/session/ticket-check.ts";
import { readSignedText, writeSignedText } from "../../../protocol/signed-text-wire.ts";
import { isExpired } from "../../../protocol/statement-fields.ts";
import {
  isRendezvousName,
  verifyBinding,
  verifyNameStatement,
  verifyRendezvousStatement,
} from "../../../protocol/statements.ts";
import { isTicketKeyKnown, signTicket, verifyTicket } from "../../../protocol/ticket.ts";
import { judgeHello } from "../../../rendezvous/hello-verdict.ts";
import { verifyNotify } from "../../../sshnpd/verify-notify.ts";
import { cast, NOW } from "../../protocol/fixtures.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { bytesParser, type Parser, textParser } from "../subject.ts";

const FIELDS = words(
  ...'"v":1 "kind":"name" "kind":"binding" "kind":"rendezvous" "seq":1 "seq":0 "prev":null "expires":null "role":"client"'.split(
    " ",
  ),
  ..."sshnp/1 rendezvous:eu1 @client @client/laptop-client @device/mygateway tcp://a:1 wss://[::1]:443".split(" "),
);
const SIGNATURE_BYTES = 64;

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
        print: ({ name: subject, owner: line, ...fields }) => statementText({ ...fields, subject }, { owner: line }),
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
          statementText({ ...fields, subject: `${name}/${member}` }, { role, x25519, ed25519 }),
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
          statementText({ ...fields, subject: `rendezvous:${rendezvous}` }, { x25519, ed25519, addresses }),
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
    name: "ticket, signed anew",
    share: 0.7,
    covers: ["protocol/ticket.ts#verifyTicket", "protocol/ticket.ts#isTicketKeyKnown"],
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
          return verifyTicket(suite, [key.publicKey], bytes);
        },
        print: (ticket) => signTicket(suite, key, ticket).subarray(0, -SIGNATURE_BYTES),
      });
    },
  },
  {
    name: "ticket, its bytes as they come",
    share: 0.3,
    covers: ["protocol/ticket.ts#verifyTicket", "protocol/ticket.ts#isTicketKeyKnown"],
    make: ({ suite }) => {
      const key = keyOf(suite, 1);
      return bytesParser({
        samples: of.ticket.filter(fits(suite)).map((ticket) => signTicket(suite, key, ticket)),
        parse: (bytes) =>
          isTicketKeyKnown(suite, [key.publicKey], bytes) && verifyTicket(suite, [key.publicKey], bytes),
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
        holds: ({ entries: found }) =>
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
            clientName: client.nameStatement,
            clientBinding: client.binding,
            rendezvous: [rendezvous.statement],
          }),
        ),
        parse: (bytes) => {
          const notify = parseNotify(bytes);
          return { notify, ticket: verifyNotify(suite, grounds, notify) };
        },
        print: ({ notify }) => encodeNotify(notify),
        holds: ({ ticket: verified }) => Buffer.compare(verified.sid, sid) === 0,
      });
    },
  },
  {
    name: "owner of a peer, signed anew",
    share: 0.2,
    because: OF_PARTS,
    covers: ["protocol/peers.ts#judgeOwner"],
    make: ({ suite }) => {
      const { client } = cast(suite);
      const owner = ed25519Line(client.owner.publicKey);
      const pinned = judgeOwner(suite, client.name, client.nameStatement, UNKNOWN_OWNER, NOW).owner;
      return textParser({
        samples: of
          .nameText(owner)
          .map((text) =>
            text.replace(/"subject":"[^"]*"/, `"subject":"${client.name}"`).replace(/"expires":\d+/, '"expires":null'),
          ),
        parse: (text) => {
          const statement = signed(suite, client.owner, "name", text);
          return judgeOwner(suite, client.name, statement, { known: pinned, given: undefined }, NOW).owner;
        },
        holds: (pin) => pin.owner === owner && pin.name === client.name,
        words: FIELDS,
      });
    },
  },
  {
    name: "peer, its binding signed anew",
    share: 0.1,
    because: OF_PARTS,
    covers: ["protocol/peers.ts#judgePeer"],
    make: ({ suite }) => {
      const { client } = cast(suite);
      const claim = (binding: SignedText) => ({ ...client, nameStatement: client.nameStatement, binding });
      const unknown = { known: { owner: undefined, member: undefined }, given: undefined };
      const { pins } = judgePeer(suite, claim(client.binding), unknown, NOW);
      return textParser({
        samples: fc.oneof(
          fc.constant(client.binding.text),
          of.bindingText.map((text) =>
            text
              .replace(/"subject":"[^"]*"/, `"subject":"${client.name}/${client.member}"`)
              .replace(/"role":"device"/, '"role":"client"')
              .replace(/"seq":1,/, '"seq":2,') // the first one is pinned, and no other first one is taken
              .replace(/"expires":\d+/, '"expires":null'),
          ),
        ),
        parse: (text) =>
          judgePeer(suite, claim(signed(suite, client.owner, "binding", text)), { known: pins, given: undefined }, NOW),
        holds: ({ binding, pins: { member } }, text) =>
          binding.statement.member === client.member &&
          member.binding.text === text &&
          (binding.statement.seq > 1 || text === client.binding.text),
        words: FIELDS,
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
          const record = { added: NOW, activationKey: secret.publicKey, statement: undefined };
          const state = { name: record, binding: undefined, isKeyTaken: false };
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
    name: "first binding that a directory proves, signed anew",
    share: 0.2,
    because: OF_PARTS,
    covers: ["directory/accounts/put-statement.ts#proveBinding", "directory/accounts/put-statement.ts#nameOfBinding"],
    make: ({ suite }) => {
      const { client, device } = cast(suite);
      const name = { added: NOW, activationKey: device.ed25519.publicKey, statement: client.nameStatement };
      return textParser({
        samples: of.member.map((member) => client.binding.text.replace(`/${client.member}"`, `/${member}"`)),
        parse: (text) => {
          const binding = signed(suite, client.owner, "binding", text);
          const said = nameOfBinding(binding);
          const proved = proveBinding(suite, binding, { sender: client.x25519.publicKey, name, now: NOW });
          return "refused" in proved ? undefined : { said, proved };
        },
        // The record is looked up by the name that the text says ahead of any proof.
        holds: ({ said, proved }) => said === proved.statement.name && proved.statement.seq === 1,
        words: FIELDS,
      });
    },
  },
  {
    name: "hello that a rendezvous judges, its ticket and claim signed anew",
    share: 0.3,
    because: OF_PARTS,
    covers: ["rendezvous/hello-verdict.ts#judgeHello", "protocol/leg-hello.ts#verifyLegClaim"],
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
          const verdict = judgeHello(self, [directory.ticket.publicKey], hello, NOW);
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
    covers: [
      "rendezvous/hello-verdict.ts#judgeHello",
      "protocol/leg-hello.ts#parseLegHello",
      "protocol/leg-hello.ts#verifyLegClaim",
    ],
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
          const verdict = judgeHello(self, [directory.ticket.publicKey], parsed.hello, NOW);
          return typeof verdict === "object" && "ticket" in verdict ? parsed : undefined;
        },
        // No other hello than what the holder of the leg key made for this dial.
        holds: ({ hello, length }, bytes) =>
          Buffer.compare(encodeLegHello(suite, legKey, ticket, claim(hello.dial)), bytes.subarray(0, length)) === 0,
      });
    },
  },
];

const UNKNOWN_OWNER = { known: undefined, given: undefined };

function keyOf(suite: CipherSuite, seed: number): Ed25519PrivateKey {
  return Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(seed));
}

function keyListOf(suite: CipherSuite) {
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
function signed(
  suite: CipherSuite,
  key: Ed25519PrivateKey,
  kind: "name" | "binding" | "rendezvous" | "keys",
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
function signedTicket(suite: CipherSuite, key: Ed25519PrivateKey, fields: Uint8Array): Uint8Array {
  const message = new ByteWriter()
    .raw(prefixed16(utf8("sshnp/1 ticket")))
    .raw(fields)
    .done();
  return new ByteWriter().raw(fields).raw(suite.sign(key, message)).done();
}

/** Whether the entries of a ticket are short enough. */
function fits(suite: CipherSuite): (ticket: Parameters<typeof signTicket>[2]) => boolean {
  return (ticket) => {
    try {
      return signTicket(suite, keyOf(suite, 1), ticket).length > 0;
    } catch {
      return false;
    }
  };
}

function statementText(fields: object, last: object): string {
  const { v: version, kind, subject, seq, prev, salt, issued, expires } = fields as Record<string, unknown>;
  return JSON.stringify({ v: version, kind, subject, seq, prev, salt, issued, expires, ...last });
}
