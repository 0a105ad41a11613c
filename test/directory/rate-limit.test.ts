import * as fc from "fast-check";
import { expect, test } from "vitest";
import { AddressLimiter, NameLimiter, TokenBucket } from "../../directory/rate-limit.ts";
import { isLoopback, networkOf } from "../../protocol/network-of.ts";
import { parseName } from "../../keys/names.ts";
import { RATE_ADDRESSES } from "../../protocol/limits.ts";

const RATE = { perSecond: 2, burst: 3 };

test("a bucket gives its burst at once, then as many a second as its rate says", () => {
  const bucket = new TokenBucket(RATE, 0);
  expect([0, 0, 0, 0].map((now) => bucket.take(now))).toEqual([true, true, true, false]);
  expect([499, 500, 501, 1000].map((now) => bucket.take(now))).toEqual([false, true, false, true]);
});

test("a bucket never gives more than its burst and its rate allow, whenever it is asked", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5000), { maxLength: 200 }), (pauses) => {
      const bucket = new TokenBucket(RATE, 0);
      let now = 0;
      let given = 0;
      for (const pause of pauses) {
        now += pause;
        if (bucket.take(now)) given += 1;
      }
      expect(given).toBeLessThanOrEqual(RATE.burst + (now * RATE.perSecond) / 1000);
    }),
  );
});

test("one address does not use up another's share, and an IPv6 network counts as one", () => {
  const limiter = new AddressLimiter(RATE, RATE);
  const takes = (address: string): boolean => limiter.bucket(address, 0).take(0);
  expect([1, 2, 3, 4].map(() => takes("192.0.2.1"))).toEqual([true, true, true, false]);
  expect(takes("192.0.2.2")).toBe(true);
  expect(takes("::ffff:192.0.2.1")).toBe(false);
  expect([1, 2, 3, 4].map((i) => takes(`2001:db8::${i}`))).toEqual([true, true, true, false]);
  expect(takes("2001:db8:0:ff::1")).toBe(false);
  expect(takes("2001:db8:0:100::1")).toBe(true);
});

test("what one sender is, is told from the address alone", () => {
  expect(networkOf("2001:db8::1")).toBe(networkOf("2001:db8:0:0:ffff::1"));
  expect(networkOf("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:0");
  expect(networkOf("2001:db8:1:12ff::")).toBe("2001:db8:1:1200");
  expect(networkOf("fe80::1%eth0")).toBe(networkOf("fe80::2%eth1"));
  expect(["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].every((address) => isLoopback(address))).toBe(true);
  expect(["128.0.0.1", "1.127.0.0", "::2", "2001:db8::127.0.0.1"].some((address) => isLoopback(address))).toBe(false);
});

test("addresses beyond the number remembered share one bucket, and the others keep theirs, until some are as if new", () => {
  const limiter = new AddressLimiter(RATE, RATE);
  for (let i = 0; i < RATE_ADDRESSES; i++) limiter.bucket(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 0).take(0);
  const beyond = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"].map((address) =>
    limiter.bucket(address, 0).take(0),
  );
  expect(beyond).toEqual([true, true, true, false]);
  expect(limiter.bucket("10.0.0.7", 0).take(0)).toBe(true);
  expect(limiter.bucket("192.0.2.4", 10_000).take(10_000)).toBe(true);
});

test("each name has a rate of its own, and those who have asked for nothing are forgotten", () => {
  const limiter = new NameLimiter({ perSecond: 1, burst: 2 });
  const [a, b] = [parseName("@a"), parseName("@b")];
  expect([0, 0, 0].map((now) => limiter.take(a, now))).toEqual([true, true, false]);
  expect(limiter.take(b, 0)).toBe(true);
  limiter.sweep(500);
  expect(limiter.take(a, 500)).toBe(false);
  limiter.sweep(10_000);
  expect([1, 2, 3].map(() => limiter.take(a, 10_000))).toEqual([true, true, false]);
});
