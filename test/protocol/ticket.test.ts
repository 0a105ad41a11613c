import { expect, test } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { MAX_TICKET_MS } from "../../protocol/limits.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { signTicket, verifyTicket } from "../../protocol/ticket.ts";
import { cast, NOW, repeatableRandom } from "./fixtures.ts";

const { directory, rendezvous } = cast(suite);
const random = repeatableRandom("ticket");
const legKey = Ed25519PrivateKey.generate(suite, random).publicKey;
const entry = { key: rendezvous.ed25519.publicKey, boot: rendezvous.boot, addresses: rendezvous.addresses };
const sign = (change: { expires?: number; entries?: (typeof entry)[] } = {}): Uint8Array =>
  signTicket(suite, directory.ticket, {
    sid: new Uint8Array(16),
    legKey,
    entries: change.entries ?? [entry],
    issued: NOW,
    expires: change.expires ?? NOW + 1000,
  });

test("a ticket says what was signed", () => {
  const ticket = verifyTicket(suite, [directory.ticket.publicKey], sign());
  expect(ticket.entries.map(({ addresses }) => addresses)).toEqual([rendezvous.addresses]);
  expect(ticket.legKey.equals(legKey)).toBe(true);
});

test("a ticket with any bit flipped, or signed with a key that is no ticket key, is refused", () => {
  const bytes = sign();
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(() => verifyTicket(suite, [directory.ticket.publicKey], flipped)).toThrow();
  }
  expect(() => verifyTicket(suite, [directory.log.publicKey], bytes)).toThrow("not signed by the directory");
  expect(() => verifyTicket(suite, [], bytes)).toThrow("not signed by the directory");
});

test("a directory cannot sign tickets for longer than a day, nor for no time at all", () => {
  const verify = (expires: number) => () => verifyTicket(suite, [directory.ticket.publicKey], sign({ expires }));
  expect(verify(NOW + MAX_TICKET_MS)).not.toThrow();
  expect(verify(NOW + MAX_TICKET_MS + 1)).toThrow("life");
  expect(verify(NOW)).toThrow("life");
});

test("a ticket names one to three rendezvous, in 800 bytes", () => {
  const verify = (entries: (typeof entry)[]) => () =>
    verifyTicket(suite, [directory.ticket.publicKey], sign({ entries }));
  expect(verify([entry, entry, entry])).not.toThrow();
  expect(verify([])).toThrow("number of entries");
  expect(verify([entry, entry, entry, entry])).toThrow("number of entries");
  const long = { ...entry, addresses: Array.from({ length: 4 }, () => `tcp://${"a".repeat(200)}:1`) };
  expect(verify([long])).toThrow("too long");
});
