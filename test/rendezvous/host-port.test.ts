import { expect, test } from "vitest";
import { publicAddresses } from "../../rendezvous/host-port.ts";

const LISTENING = { host: "127.0.0.1", port: 7801 };

test.each([
  [undefined, ["tcp://127.0.0.1:7801", "ws://127.0.0.1:7801"]],
  ["np.example.org:7801", ["tcp://np.example.org:7801", "ws://np.example.org:7801"]],
  ["[2001:db8::1]:1", ["tcp://[2001:db8::1]:1", "ws://[2001:db8::1]:1"]],
  ["wss://np.example.org:443", ["wss://np.example.org:443"]],
  [
    "np.example.org:1,wss://np.example.org:443",
    ["tcp://np.example.org:1", "ws://np.example.org:1", "wss://np.example.org:443"],
  ],
])("--public %s is reached at %j", (given, addresses) => {
  expect(publicAddresses(given, LISTENING)).toEqual(addresses);
});

test.each(["0.0.0.0", "0", "::", "::0", "0:0:0:0:0:0:0:0"])(
  "listening on %s does not tell where it is reached",
  (host) => {
    expect(() => publicAddresses(undefined, { host, port: 7801 })).toThrow(
      expect.objectContaining({ code: "E_USAGE", next: expect.stringContaining("--public HOST:PORT") }),
    );
    expect(publicAddresses("np.example.org:1", { host, port: 7801 })).toHaveLength(2);
  },
);

test("addresses that leave no room in a ticket for another rendezvous are refused", () => {
  const name = (length: number): string => `wss://${"a".repeat(length)}.example.org:443`;
  expect(publicAddresses([name(152), name(152)].join(), LISTENING)).toHaveLength(2);
  expect(() => publicAddresses([name(153), name(152)].join(), LISTENING)).toThrow(
    expect.objectContaining({ code: "E_USAGE", next: expect.stringContaining("350 bytes") }),
  );
});
