import { expect, test } from "vitest";
import { isWildcard } from "../../keys/wildcard.ts";

test.each(["0.0.0.0", "0", "0.0", "0x0", "::", "::0", "0::", "0:0:0:0:0:0:0:0", "::0.0.0.0"])(
  "%s means all interfaces",
  (host) => {
    expect(isWildcard(host)).toBe(true);
  },
);

test.each([
  "127.0.0.1",
  "0.0.0.1",
  "10.0.0.0",
  "::1",
  "2001:db8::",
  "fe80::1%eth0",
  "localhost",
  "0.example",
  "a b",
  "",
])("`%s` does not", (host) => {
  expect(isWildcard(host)).toBe(false);
});
