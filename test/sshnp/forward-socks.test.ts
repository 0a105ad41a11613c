import * as fc from "fast-check";
import { expect, test } from "vitest";
import { hex } from "../../keys/bytes.ts";
import { SocksHandshake, socksReply } from "../../sshnp/forward/socks.ts";

const GREETING = [5, 1, 0];
const REFUSED = (code: number): number[] => [5, code, 0, 1, 0, 0, 0, 0, 0, 0];

test.each([
  ["an IPv4 address", [1, 10, 0, 0, 7, 0, 80], "tcp:10.0.0.7:80"],
  ["a name", [3, 5, ...Buffer.from("Db.eu"), 21, 56], "tcp:db.eu:5432"],
  ["an IPv6 address", [4, 0xfd, ...Array(14).fill(0), 1, 1, 187], "tcp:[fd00::1]:443"],
  ["an IPv6 address that is written as a name", [3, 3, ...Buffer.from("::1"), 0, 22], "tcp:[::1]:22"],
  ["an IPv4 address in IPv6", [4, ...Array(10).fill(0), 255, 255, 10, 0, 0, 7, 0, 80], "tcp:[::ffff:a00:7]:80"],
  ["a name of 253 letters", [3, 253, ...Array(253).fill(97), 0, 1], `tcp:${"a".repeat(253)}:1`],
])("a request for %s is one for the service as grants write it", (_, address, service) => {
  expect(say(GREETING, [5, 1, 0, ...address])).toEqual({ said: "0500", wanted: service, rest: "", isOver: true });
});

test.each([
  ["another version", [4, 1, 0], ""],
  ["HTTP", [...Buffer.from("GET / HTTP/1.1\r\n")], ""],
  ["no method at all", [5, 0], ""],
  ["no way in without a password", [5, 2, 1, 2], "05ff"],
  ["BIND", [...GREETING, 5, 2, 0, 1, 10, 0, 0, 7, 0, 80], `0500${bytes(REFUSED(7))}`],
  ["UDP ASSOCIATE", [...GREETING, 5, 3, 0, 1, 10, 0, 0, 7, 0, 80], `0500${bytes(REFUSED(7))}`],
  ["an unknown kind of address", [...GREETING, 5, 1, 0, 2], `0500${bytes(REFUSED(8))}`],
  ["a reserved byte", [...GREETING, 5, 1, 1, 1, 10, 0, 0, 7, 0, 80], "0500"],
  ["another version in the request", [...GREETING, 4], "0500"],
  ["port 0", [...GREETING, 5, 1, 0, 1, 10, 0, 0, 7, 0, 0], `0500${bytes(REFUSED(4))}`],
  ["an empty name", [...GREETING, 5, 1, 0, 3, 0, 0, 80], `0500${bytes(REFUSED(4))}`],
  ["a name with a colon", [...GREETING, 5, 1, 0, 3, 4, ...Buffer.from("a:80"), 0, 80], `0500${bytes(REFUSED(4))}`],
  ["a name with a zero", [...GREETING, 5, 1, 0, 3, 3, 97, 0, 98, 0, 80], `0500${bytes(REFUSED(4))}`],
  ["a name that is not ASCII", [...GREETING, 5, 1, 0, 3, 2, 0xc3, 0xa9, 0, 80], `0500${bytes(REFUSED(4))}`],
])("%s ends it", (_, all, said) => {
  expect(say(all)).toEqual({ said, wanted: undefined, rest: "", isOver: true });
});

test("what is not whole yet is waited for, and held in few bytes", () => {
  const whole = [...GREETING, 5, 1, 0, 3, 255, ...Array(255).fill(97)];
  for (let length = 0; length < whole.length; length++) {
    expect(say(whole.slice(0, length))).toMatchObject({ wanted: undefined, isOver: false });
  }
});

test("what comes behind the request is what is to be carried, wherever it is cut", () => {
  const request = fc.tuple(fc.uint8Array({ maxLength: 50 }), fc.array(fc.nat(80), { maxLength: 6 }));
  fc.assert(
    fc.property(request, ([rest, cuts]) => {
      const all = Uint8Array.of(...GREETING, 5, 1, 0, 1, 10, 0, 0, 7, 0, 80, ...rest);
      const borders = [0, ...cuts.filter((at) => at < all.length).toSorted((a, b) => a - b), all.length];
      const chunks = borders.slice(1).map((end, i) => [...all.subarray(borders[i], end)]);
      expect(say(...chunks)).toEqual({ said: "0500", wanted: "tcp:10.0.0.7:80", rest: hex(rest), isOver: true });
    }),
  );
});

test("after the end it takes nothing more", () => {
  const handshake = new SocksHandshake();
  handshake.push(Uint8Array.of(4));
  expect(handshake.push(Uint8Array.of(...GREETING))).toEqual([]);
});

test("replies are those of RFC 1928", () => {
  const codes = ["succeeded", "failed", "not-allowed", "host-unreachable", "refused"] as const;
  expect(codes.map((code) => hex(socksReply(code)))).toEqual([0, 1, 2, 4, 5].map((code) => bytes(REFUSED(code))));
});

function bytes(all: readonly number[]): string {
  return hex(Uint8Array.from(all));
}

/** What comes of chunks: all that is sent, the service, and what is to be carried to it. */
function say(...chunks: readonly (readonly number[])[]): {
  readonly said: string;
  readonly wanted: string | undefined;
  readonly rest: string;
  readonly isOver: boolean;
} {
  const handshake = new SocksHandshake();
  let [said, rest, wanted, isOver]: [string, string, string | undefined, boolean] = ["", "", undefined, false];
  for (const chunk of chunks) {
    if (wanted !== undefined) rest += bytes(chunk);
    for (const action of handshake.push(Uint8Array.from(chunk))) {
      if (action.type === "send") said += hex(action.bytes);
      else isOver = true;
      if (action.type === "connect") [wanted, rest] = [action.service, hex(action.rest)];
    }
  }
  return { said, wanted, rest, isOver };
}
