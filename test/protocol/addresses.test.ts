import { expect, test } from "vitest";
import { PeerError } from "../../keys/errors.ts";
import { formatRendezvousAddress, parseRendezvousAddress } from "../../protocol/rendezvous-address.ts";
import { parseService } from "../../protocol/service.ts";

test.each(["tcp://np.example.org:7801", "ws://192.0.2.1:80", "wss://[2001:db8::1]:443", "tcp://[::ffff:192.0.2.1]:1"])(
  "%s is an address, printed as it was read",
  (text) => {
    expect(formatRendezvousAddress(parseRendezvousAddress(text))).toBe(text);
  },
);

// In brackets, where a name or an IPv4 address would have a second form.
test.each(["12", "192.0.2.1", "abc", "..", "::1]:80@[::1"])("[%s] is no IPv6 address", (host) => {
  expect(() => parseRendezvousAddress(`tcp://[${host}]:7801`)).toThrow(PeerError);
  expect(() => parseService(`tcp:[${host}]:22`)).toThrow(PeerError);
});

test("a service names an IPv6 host in brackets, without them for whoever connects", () => {
  expect(parseService("tcp:[2001:db8::1]:22")).toEqual({ kind: "tcp", host: "2001:db8::1", port: 22 });
});
