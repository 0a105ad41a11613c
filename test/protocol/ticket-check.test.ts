import { expect, test } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import { signKeyList, verifyKeyList } from "../../protocol/key-list.ts";
import { signRendezvousStatement } from "../../protocol/statements.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { signTicket, type Ticket } from "../../protocol/ticket.ts";
import { checkTicket } from "../../protocol/session/ticket-check.ts";
import { cast, NOW } from "./fixtures.ts";

const { directory, rendezvous, random } = cast(suite);
const legKey = Ed25519PrivateKey.generate(suite, random);
const sid = random(16);
const session = { sid, legKey: legKey.publicKey };
const keyList = verifyKeyList(
  suite,
  signKeyList(suite, directory.root, {
    seq: 1,
    issued: NOW,
    expires: NOW + 1e9,
    sealing: [directory.sealing.publicKey],
    ticket: [directory.ticket.publicKey],
    log: directory.log.publicKey,
    origin: "np.example.org/log",
  }),
  fingerprint(suite, parsePublicKeyLine(ed25519Line(directory.root.publicKey)).blob),
);
const entry = { key: rendezvous.ed25519.publicKey, boot: rendezvous.boot, addresses: rendezvous.addresses };
const statementFields = {
  rendezvous: "eu1",
  seq: 1,
  prev: null,
  issued: NOW,
  expires: null,
  x25519: rendezvous.x25519.publicKey,
  ed25519: rendezvous.ed25519.publicKey,
  addresses: rendezvous.addresses,
};

function ticket(changes: Partial<Ticket> = {}, key = directory.ticket): Uint8Array {
  const expires = NOW + 60_000;
  return signTicket(suite, key, { sid, legKey: legKey.publicKey, entries: [entry], issued: NOW, expires, ...changes });
}

function check(bytes: Uint8Array, statements = [rendezvous.statement], now = NOW): Ticket {
  return checkTicket(suite, keyList, session, { ticket: bytes, rendezvous: statements }, now).ticket;
}

test("an honest ticket is accepted", () => {
  expect(check(ticket()).entries).toEqual([entry]);
});

test.each([
  ["another session's", ticket({ sid: random(16) })],
  ["for another leg key", ticket({ legKey: Ed25519PrivateKey.generate(suite, random).publicKey })],
  ["signed by somebody else", ticket({}, Ed25519PrivateKey.generate(suite, random))],
  ["past its end", ticket({ issued: NOW - 10, expires: NOW })],
  ["for an address that is not signed", ticket({ entries: [{ ...entry, addresses: ["tcp://evil.example.org:1"] }] })],
  ["for another rendezvous key", ticket({ entries: [{ ...entry, key: directory.log.publicKey }] })],
  ["for two rendezvous, one of them proved", ticket({ entries: [entry, entry] })],
])("a ticket %s is refused", (_what, bytes) => {
  expect(() => check(bytes)).toThrow(expect.objectContaining({ code: "E_TICKET" }));
});

test("a rendezvous counts only with a statement of the root key, in force", () => {
  const forged = signRendezvousStatement(suite, random, directory.ticket, statementFields);
  expect(() => check(ticket(), [forged])).toThrow(expect.objectContaining({ code: "E_STATEMENT" }));
  const expired = signRendezvousStatement(suite, random, directory.root, { ...statementFields, expires: NOW });
  expect(() => check(ticket(), [expired])).toThrow(expect.objectContaining({ code: "E_TICKET" }));
  expect(() => check(ticket(), [])).toThrow(expect.objectContaining({ code: "E_TICKET" }));
});

test("a ticket with any byte changed is refused", () => {
  const bytes = ticket();
  for (let at = 0; at < bytes.length; at++) {
    const changed = bytes.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect(() => check(changed)).toThrow();
  }
});
