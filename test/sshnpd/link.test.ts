import { EventEmitter, once } from "node:events";
import { expect, test } from "vitest";
import type { Link, LinkEvent } from "../../directory/client.ts";
import { DeniedError, PeerError, SecurityError, SetupError, UnavailableError } from "../../keys/errors.ts";
import { isFinal, keepLinked } from "../../sshnpd/link.ts";
import type { Addresses } from "../../sshnpd/network-watch.ts";

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

test("when the network changes it tries at once: an attempt is given up, a wait is cut short, a link is told", async () => {
  const stop = new AbortController();
  const network = new ChangingNetwork();
  const told: string[] = [];
  let attempts = 0;
  await keepLinked({
    signal: stop.signal,
    random: () => 0.999,
    network,
    open: async (signal) => {
      attempts += 1;
      if (attempts === 1) {
        setImmediate(() => network.change());
        await once(signal, "abort"); // an attempt that nobody answers
        signal.throwIfAborted();
      }
      if (attempts < 20) throw offline; // spans would have doubled to half a minute
      return {
        ...linkThat(offline),
        events: neverending(stop.signal),
        networkChanged: (addresses) => {
          told.push(...addresses);
          stop.abort();
        },
      };
    },
    onLinked: () => network.change("192.0.2.7"),
    onEvent: () => {},
    onLost: () => setImmediate(() => network.change()),
  });
  expect(attempts).toBe(20);
  expect(told).toEqual(["192.0.2.7"]);
  expect(network.listeners).toBe(0);
});

test("however often the network changes, no wait grows for that", async () => {
  const stop = new AbortController();
  const network = new ChangingNetwork();
  const waits: number[] = [];
  await keepLinked({
    signal: stop.signal,
    random: () => 0.999,
    network,
    open: async () => {
      const lost = new AbortController();
      return {
        ...linkThat(offline),
        events: neverending(lost.signal),
        networkChanged: () => lost.abort(offline), // from an address that is gone
      };
    },
    onLinked: () => setImmediate(() => network.change()),
    onEvent: () => {},
    onLost: (_, wait) => {
      waits.push(wait);
      if (waits.length === 10) stop.abort();
    },
  });
  expect(waits).toEqual(Array.from({ length: 10 }, () => 249));
});

class ChangingNetwork {
  readonly #changes = new EventEmitter();

  get listeners(): number {
    return this.#changes.listenerCount("change");
  }

  onChange(listener: (addresses: Addresses) => void): () => void {
    this.#changes.on("change", listener);
    return () => this.#changes.off("change", listener);
  }

  change(...addresses: string[]): void {
    this.#changes.emit("change", new Set(addresses));
  }
}

async function* neverending(signal: AbortSignal): AsyncGenerator<LinkEvent> {
  yield { type: "names", statements: [] };
  if (!signal.aborted) await once(signal, "abort");
  signal.throwIfAborted();
}

function linkThat(ends: Error): Link {
  async function* events(): AsyncGenerator<LinkEvent> {
    yield { type: "names", statements: [] };
    throw ends;
  }
  return { events: events(), remoteAddress: "127.0.0.1", answer: () => {}, networkChanged: () => {}, close: () => {} };
}
