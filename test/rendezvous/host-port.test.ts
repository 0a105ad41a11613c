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
