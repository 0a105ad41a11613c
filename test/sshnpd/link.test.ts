import { EventEmitter, once } from "node:events";
import { expect, test } from "vitest";
import { type Link, type LinkEvent, NobodyThereError } from "../../directory/client.ts";
import { DeniedError, PeerError, SecurityError, SetupError, UnavailableError } from "../../keys/errors.ts";
import { isFinal, keepLinked } from "../../sshnpd/link.ts";
import type { NetworkChange } from "../../sshnpd/network-watch.ts";

const replaced = new DeniedError("E_REPLACED", "taken over");
const offline = new UnavailableError("E_DIRECTORY", "cannot reach it");
const nobody = new UnavailableError("E_DIRECTORY", "away", { cause: new NobodyThereError("ECONNREFUSED") });
const proxyAlone = new UnavailableError("E_DIRECTORY", "away", {
  cause: new NobodyThereError("status 502", { saidBy: "proxy" }),
});

test.each([
  [replaced, true, true],
  [new DeniedError("E_NOT_AUTHORIZED", "unknown keys"), true, false],
  [new DeniedError("E_REVOKED", "revoked, until its owner takes that back"), false, false],
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

test("a link on which something comes that cannot be borne is closed, and there is another one", async () => {
  const unbearable = new SecurityError("E_LOG", "the log is smaller than it was");
  const stop = new AbortController();
  let open = 0;
  const lost: unknown[] = [];
  await keepLinked({
    signal: stop.signal,
    random: () => 0,
    open: async (signal) => {
      open += 1;
      return { ...linkThat(offline), events: neverending(signal), close: () => (open -= 1) };
    },
    onLinked: () => expect(open).toBe(1),
    onEvent: () => {
      throw unbearable;
    },
    onLost: (error) => {
      if (lost.push(error) === 3) stop.abort();
    },
  });
  expect([open, lost]).toEqual([0, [unbearable, unbearable, unbearable]]);
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

test("addresses that come and go do not end an attempt, nor what was refused: they are of containers", async () => {
  const stop = new AbortController();
  const network = new ChangingNetwork();
  const waits: number[] = [];
  const churn = (): void => {
    network.change({ addresses: ["192.0.2.1", "172.17.0.1"], hasNew: true });
    network.change({ addresses: ["192.0.2.1"] });
  };
  let linked = 0;
  let probes = 0;
  await keepLinked({
    signal: stop.signal,
    random: () => 2 ** -30, // no wait is long
    network,
    open: async (signal, onConnected) => {
      churn();
      onConnected("192.0.2.1");
      churn();
      expect(signal.aborted).toBe(false);
      if (waits.length < 10) throw offline;
      return { ...linkThat(offline), events: neverending(signal), probe: () => (probes += 1) };
    },
    onLinked: () => {
      linked += 1;
      churn();
      expect(probes).toBe(1); // for the address that came
      stop.abort();
    },
    onEvent: () => {},
    onLost: (_, wait) => {
      waits.push(wait);
      churn();
    },
  });
  expect(linked).toBe(1);
  expect(waits).toHaveLength(10);
  expect(network.listeners).toBe(0);
});

test("a new address cuts short the wait for somebody to be there, and no other", async () => {
  for (const [error, isCutShort] of [
    [nobody, true],
    [offline, false],
    [proxyAlone, false],
  ] as const) {
    const stop = new AbortController();
    const network = new ChangingNetwork();
    const waits: number[] = [];
    let attempts = 0;
    await keepLinked({
      signal: stop.signal,
      random: () => 0.999,
      network,
      open: async () => {
        attempts += 1;
        if (attempts === 20) stop.abort();
        throw error;
      },
      onLinked: () => {},
      onEvent: () => {},
      onLost: (_, wait) => {
        waits.push(wait);
        setImmediate(() => {
          network.change({ hasNew: true });
          if (!isCutShort) setImmediate(() => stop.abort());
        });
      },
    });
    expect(attempts).toBe(isCutShort ? 20 : 1);
    expect(new Set(waits)).toEqual(new Set([249])); // and none grew
  }
});

test.each([
  ["has gone", { addresses: ["192.0.2.2"] }],
  ["is not known while the machine slept", { addresses: ["192.0.2.1"], hasSlept: true }],
])(
  "it tries at once when the address that it asked from %s: an attempt is given up, a wait is cut short",
  async (_, change) => {
    const stop = new AbortController();
    const network = new ChangingNetwork();
    const waits: number[] = [];
    let attempts = 0;
    await keepLinked({
      signal: stop.signal,
      random: () => 0.999,
      network,
      open: async (signal, onConnected) => {
        attempts += 1;
        if (attempts === 20) stop.abort(); // spans would have doubled to half a minute
        onConnected("192.0.2.1");
        if (attempts % 2 === 0) throw offline;
        setImmediate(() => network.change(change));
        await once(signal, "abort"); // an attempt that nobody answers
        throw signal.reason;
      },
      onLinked: () => {},
      onEvent: () => {},
      onLost: (error, wait) => {
        waits.push(wait);
        if (error === offline) setImmediate(() => network.change(change));
      },
    });
    expect(attempts).toBe(20);
    expect(Math.max(...waits)).toBeLessThan(500);
  },
);

test("a link whose own address has gone is over, one that is asked for a sign of life is not", async () => {
  const stop = new AbortController();
  const network = new ChangingNetwork();
  const waits: number[] = [];
  let probes = 0;
  await keepLinked({
    signal: stop.signal,
    random: () => 0.999,
    network,
    open: async (signal, onConnected) => {
      onConnected("fe80::1%eth0");
      return { ...linkThat(offline), events: neverending(signal), probe: () => (probes += 1) };
    },
    onLinked: () =>
      setImmediate(() => {
        network.change({ addresses: ["fe80::1", "192.0.2.7"], hasNew: true });
        network.change({ addresses: ["fe80::1", "192.0.2.7"], hasSlept: true });
        network.change({ addresses: ["fe80::1"] });
        expect(waits).toHaveLength(probes / 2 - 1);
        network.change({ addresses: ["192.0.2.7"] });
      }),
    onEvent: () => {},
    onLost: (error, wait) => {
      expect(error).toMatchObject({ code: "E_DIRECTORY" });
      waits.push(wait);
      if (waits.length === 10) stop.abort();
    },
  });
  expect(waits).toEqual(Array.from({ length: 10 }, () => 249));
});

type Change = Partial<Omit<NetworkChange, "addresses">> & { readonly addresses?: readonly string[] };

class ChangingNetwork {
  readonly #changes = new EventEmitter();

  get listeners(): number {
    return this.#changes.listenerCount("change");
  }

  onChange(listener: (change: NetworkChange) => void): () => void {
    this.#changes.on("change", listener);
    return () => this.#changes.off("change", listener);
  }

  change({ addresses = [], hasNew = false, hasSlept = false }: Change): void {
    this.#changes.emit("change", { addresses: new Set(addresses), hasNew, hasSlept });
  }
}

async function* neverending(signal: AbortSignal): AsyncGenerator<LinkEvent> {
  yield { type: "names", names: { chains: [], proof: new Uint8Array(0) } };
  if (!signal.aborted) await once(signal, "abort");
  signal.throwIfAborted();
}

function linkThat(ends: Error): Link {
  async function* events(): AsyncGenerator<LinkEvent> {
    yield { type: "names", names: { chains: [], proof: new Uint8Array(0) } };
    throw ends;
  }
  const nothing = (): void => {};
  return {
    ...{ events: events(), remoteAddress: "127.0.0.1" },
    ...{ answer: nothing, watch: nothing, tellDistances: nothing, probe: nothing, close: nothing },
  };
}
