import { assert, double, nat, property } from "fast-check";
import { expect, test } from "vitest";
import type { Link, LinkEvent } from "../../directory/client.ts";
import { DeniedError, PeerError, SecurityError, SetupError, UnavailableError } from "../../keys/errors.ts";
import { RECONNECT_FIRST_MS, RECONNECT_MS } from "../../protocol/limits.ts";
import { isFinal, keepLinked, reconnectDelay } from "../../sshnpd/link.ts";

test("the first try comes within 250 ms, later ones at any moment of a span that doubles up to 30 s", () => {
  const random = double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  assert(
    property(nat(100_000), random, (failures, at) => {
      const span = Math.min(RECONNECT_MS, RECONNECT_FIRST_MS * 2 ** failures);
      const wait = reconnectDelay(failures, at);
      expect(wait).toBeGreaterThanOrEqual(0);
      expect(wait).toBeLessThan(span);
      expect(Math.abs(wait - at * span)).toBeLessThan(1);
    }),
  );
});

const replaced = new DeniedError("E_REPLACED", "taken over");
const offline = new UnavailableError("E_DIRECTORY", "cannot reach it");

test.each([
  [replaced, true, true],
  [new DeniedError("E_NOT_AUTHORIZED", "unknown keys"), true, false],
  [new SecurityError("E_DIRECTORY_KEY", "another key"), true, false],
  [new PeerError("E_VERSION", "another version"), true, false],
  [new SetupError("E_BAD_KEY_FILE", "damaged"), true, false],
  [new PeerError("E_PROTOCOL", "nonsense"), false, false],
  [offline, false, false],
  [new UnavailableError("E_RATE", "too many"), false, false],
  [new Error("a bug"), false, false],
] as const)("%s ends the daemon at its first link: %s, and later: %s", (error, atFirst, later) => {
  expect([isFinal(error, false), isFinal(error, true)]).toEqual([atFirst, later]);
});

test("it comes back after each loss, tells of each, and ends when another has taken over", async () => {
  const links = [offline, "link", offline, offline, "link", "replaced"] as const;
  const story: string[] = [];
  let attempts = 0;
  const kept = keepLinked({
    signal: new AbortController().signal,
    random: () => 0,
    open: async () => {
      const link = links[attempts++];
      if (link instanceof Error || link === undefined) throw link ?? new Error("asked once too often");
      return linkThat(link === "replaced" ? replaced : offline);
    },
    onLinked: () => story.push("linked"),
    onEvent: (event) => story.push(event.type),
    onLost: (error) => story.push(error === offline ? "lost" : String(error)),
  });
  await expect(kept).rejects.toBe(replaced);
  expect(story.join(" ")).toBe("lost linked names lost lost lost linked names lost linked names");
});

test("it stops at once when told to: linked, and waiting to try again", async () => {
  for (const waiting of [false, true]) {
    const stop = new AbortController();
    await keepLinked({
      signal: stop.signal,
      random: () => 0.999,
      open: async () => {
        if (waiting) throw offline;
        return linkThat(offline);
      },
      onLinked: () => stop.abort(),
      onEvent: () => {},
      onLost: () => setImmediate(() => stop.abort()),
    });
  }
});

function linkThat(ends: Error): Link {
  async function* events(): AsyncGenerator<LinkEvent> {
    yield { type: "names", statements: [] };
    throw ends;
  }
  return { events: events(), remoteAddress: "127.0.0.1", answer: () => {}, close: () => {} };
}
