import { expect, test } from "vitest";
import { SESSION_CACHE, SESSION_CACHE_SHARE } from "../../protocol/limits.ts";
import { AnswerCache } from "../../protocol/session/answer-cache.ts";

const sid = (number: number): Uint8Array => {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
};
const request = (number: number): Uint8Array => new Uint8Array(32).fill(number % 256);

/** Fills the cache with sessions of `client` until it refuses; returns how many it took. */
function fill(cache: AnswerCache<number>, client: string, from: number, until: number, now = 0): number {
  for (let count = 0; ; count++) {
    try {
      cache.admit(client, now);
    } catch (error) {
      expect(error).toMatchObject({ code: "E_BUSY" });
      return count;
    }
    cache.remember(sid(from + count), request(from + count), client, from + count, until);
  }
}

test("the same request gets the same answer, other bytes under its id are refused", () => {
  const cache = new AnswerCache<string>();
  cache.remember(sid(1), request(1), "@client", "yes", 10);
  expect(cache.recall(sid(1), request(1))).toBe("yes");
  expect(cache.recall(sid(2), request(1))).toBeUndefined();
  expect(() => cache.recall(sid(1), request(2))).toThrow("used twice");
});

test("one client fills its share and nobody else's; nothing that is remembered is pushed out", () => {
  const cache = new AnswerCache<number>();
  expect(fill(cache, "@greedy", 0, 100)).toBe(SESSION_CACHE_SHARE);
  expect(fill(cache, "@other", SESSION_CACHE_SHARE, 100)).toBe(SESSION_CACHE_SHARE);
  for (let number = 0; number < 2 * SESSION_CACHE_SHARE; number++) {
    expect(cache.recall(sid(number), request(number))).toBe(number);
  }
});

test("all clients together fill no more than there is, and what is past its time makes room", () => {
  const cache = new AnswerCache<number>();
  let taken = 0;
  for (let client = 0; client < 6; client++) taken += fill(cache, `@c${client}`, taken, 100);
  expect(taken).toBe(SESSION_CACHE);
  expect(fill(cache, "@late", taken, 200, 99)).toBe(0);
  expect(fill(cache, "@late", taken, 200, 100)).toBe(SESSION_CACHE_SHARE);
  expect(fill(cache, "@c0", taken + SESSION_CACHE_SHARE, 200, 100)).toBe(SESSION_CACHE_SHARE);
});
