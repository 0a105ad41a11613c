import { createServer } from "node:http";
import { once } from "node:events";
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import type * as timers from "node:timers/promises";
import { pino } from "pino";
import { expect, test, vi } from "vitest";
import { DirectoryClient } from "../../directory/client.ts";
import { activationKey } from "../../keys/activation-key.ts";
import { hex } from "../../keys/bytes.ts";
import { Secret } from "../../keys/secret.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { DRAIN_LEAST_MS, FIRST_REPORT_MS, KEY_LIST_GAP_MS, REPORT_MS, REPORT_RETRY_MS } from "../../protocol/limits.ts";
import { RENDEZVOUS_ACTIVATION } from "../../protocol/messages/activation.ts";
import { encodeSignedText } from "../../protocol/messages/link.ts";
import type { TicketEntry } from "../../protocol/ticket.ts";
import { KeyListRefresh } from "../../rendezvous/key-list-refresh.ts";
import { type ServiceOptions, serveRendezvous } from "../../rendezvous/service.ts";
import { patience, random, suite, World } from "../directory/world.ts";
import { connectTo, dial, readAll } from "./serving.ts";
import { newKey, newSession, type World as Meeting } from "./world.ts";

// With the timers that a test may have put in place of the system's.
vi.mock("node:timers/promises", async (original) => ({
  ...(await original<typeof timers>()),
  setTimeout: (ms: number, value: unknown, { signal }: { readonly signal?: AbortSignal } = {}) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) reject(signal.reason);
      signal?.addEventListener("abort", () => reject(signal.reason));
      setTimeout(() => resolve(value), ms);
    }),
}));

const WEEK = 7 * 24 * 60 * 60_000;

test("a one-time secret makes a rendezvous that tickets name from then on, and that joins their legs", async () => {
  await using world = await World.start();
  await using service = await start(world, { secret: await newSecret(world) });
  expect(service.address).toMatch(/^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
  const { entries } = world.directory.registry.offer(Date.now());
  expect(entries.map(({ addresses }) => addresses)).toEqual([[service.address, service.address.replace("tcp", "ws")]]);
  await meet(world, entries);
  await expect.poll(() => service.messages()).toContain("session ended");
});

test("after a restart it serves legs while its directory is away, and replays from before open nothing", async () => {
  await using world = await World.start();
  const data = join(world.folder.path, "rz");
  const first = await start(world, { data, secret: await newSecret(world) });
  const { entries } = world.directory.registry.offer(Date.now());
  const meeting = meetingOf(world, entries);
  const before = newSession(meeting, { entries });
  await first.stop();
  const { address } = world;
  await world.pause();

  await using second = await start(world, { data, address });
  expect(second.messages()).toContain("the directory does not answer; serving without it");
  const [entry] = entries;
  const now = [{ ...must(entry), addresses: [second.address] }];
  const client = await dial(meeting, { ...before, entries: now }, "client");
  const device = await dial(meeting, { ...before, entries: now }, "device");
  await Promise.all([client.joined, device.joined]);
  const recorded = await dial(meeting, { ...before, entries: now }, "client", { nextDial: () => 1 });
  await expect(recorded.joined).rejects.toMatchObject({
    code: "E_RENDEZVOUS",
    message: expect.stringContaining("before"),
  });
  for (const { socket } of [client, device]) socket.destroy();
});

test("a directory that comes back is told at once where its rendezvous is", async () => {
  await using world = await World.start();
  const data = join(world.folder.path, "rz");
  await (await start(world, { data, secret: await newSecret(world) })).stop();
  const { address } = world;
  await world.pause();
  await using service = await start(world, { data, address });
  await world.resume(Number(address.url.port));
  const offered = (): unknown => world.directory.registry.offer(Date.now()).entries[0]?.addresses[0];
  await expect.poll(offered, { timeout: REPORT_MS / 2 }).toBe(service.address); // without that haste it takes 12 s at least
  await expect.poll(() => service.messages()).toContain("the directory answers again");
});

test("a ticket key that the directory has changed to is asked for when the first ticket under it comes", async () => {
  await using world = await World.start();
  await using service = await start(world, { secret: await newSecret(world) });
  const { entries } = world.directory.registry.offer(Date.now());
  await meet(world, entries);
  expect(await world.directory.keyring.refresh(Date.now() + WEEK + 60_000)).toBe(true);
  await meet(world, entries);
  expect(service.messages()).not.toContain("no newer key list from the directory");
});

test("a ticket of nobody's is refused after the directory was asked", async () => {
  await using world = await World.start();
  await using _service = await start(world, { secret: await newSecret(world) });
  const { entries } = world.directory.registry.offer(Date.now());
  const meeting = meetingOf(world, entries);
  const leg = await dial(meeting, newSession(meeting, { entries, ticketKey: newKey() }), "client");
  await expect(leg.joined).rejects.toMatchObject({ code: "E_RENDEZVOUS", message: expect.stringContaining("ticket") });
});

test("however many legs ask for a key list, the directory is asked once in two seconds", async () => {
  await using world = await World.start();
  const times: number[] = [];
  const server = createServer((_request, response) => {
    times.push(performance.now());
    response.end(encodeSignedText(world.directory.keyring.keyList));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const bound = server.address();
  const port = bound === null || typeof bound === "string" ? 0 : bound.port;
  const address = parseDirectoryAddress(`http://127.0.0.1:${port}#${world.directory.keyring.fingerprint}`);
  const client = new DirectoryClient({ address, suite, random });
  let told = 0;
  const onKeyList = (): void => {
    told += 1;
  };
  const refresh = new KeyListRefresh({ client, onKeyList, log: pino({ level: "silent" }), signal: patience() });
  for (let i = 0; i < 100; i++) refresh.ask();
  await expect.poll(() => told).toBe(1);
  for (let i = 0; i < 100; i++) refresh.ask();
  await expect.poll(() => told, { timeout: 2 * KEY_LIST_GAP_MS }).toBe(2);
  expect(times).toHaveLength(2);
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(KEY_LIST_GAP_MS - 50);
  await once(server.close(), "close");
});

test("asked to drain while idle, it waits for legs whose tickets are out, until it is told to end", async () => {
  await using world = await World.start();
  const drain = new AbortController();
  await using service = await start(world, {
    secret: await newSecret(world),
    drain: { signal: drain.signal, seconds: 3600, leastMs: 3_600_000 },
  });
  const { entries } = world.directory.registry.offer(Date.now());
  drain.abort();
  await expect.poll(() => world.directory.registry.list(Date.now())[0]?.isDraining).toBe(true);
  const ended = (): number => service.messages().filter((message) => message === "session ended").length;
  for (let met = 1; met <= 2; met++) {
    await meet(world, entries);
    await expect.poll(ended).toBe(met); // it is quiet again
  }
  expect(service.messages()).not.toContain("rendezvous ends");
  await service.stop();
  expect(service.messages()).not.toContain("sessions are cut: they have not ended in time");
});

test("a leg that is connected when it drains, and has yet to say hello, comes about; then it ends by itself", async () => {
  await using world = await World.start();
  const drain = new AbortController();
  await using service = await start(world, {
    secret: await newSecret(world),
    drain: { signal: drain.signal, seconds: 3600, leastMs: 0 },
  });
  const { entries } = world.directory.registry.offer(Date.now());
  const [{ key, boot }, meeting] = [must(entries[0]), meetingOf(world, entries)];
  const session = newSession(meeting, { entries });
  const client = await connectTo(Number(new URL(service.address).port));
  await expect.poll(() => service.messages()).toContain("leg arrived");
  drain.abort();
  await expect.poll(() => world.directory.registry.list(Date.now())[0]?.isDraining).toBe(true);
  client.write(session.hello("client", 1, { boot, rendezvous: { publicKey: key } }));
  const device = await dial(meeting, session, "device");
  await device.joined;
  expect(service.messages()).not.toContain("rendezvous ends");
  client.end();
  device.socket.end();
  await service.ended;
  expect(service.messages()).toContain("rendezvous ends");
  expect(service.messages()).not.toContain("sessions are cut: they have not ended in time");
});

test("a directory that takes connections and never answers holds up no drain, told of it or reported to before", async () => {
  await using world = await World.start();
  const data = join(world.folder.path, "rz");
  await (await start(world, { data, secret: await newSecret(world) })).stop();
  const sockets = new Set<Socket>();
  const silent = createTcpServer((socket) => void sockets.add(socket.resume().on("error", () => {})));
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const url = new URL(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
  // Time goes on when the test says so: what a busy machine takes for its work is not counted.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
    const over = new AbortController();
    setTimeout(() => over.abort(new DOMException("timeout", "TimeoutError")), ms);
    return over.signal;
  });
  const pass = async (ms: number): Promise<void> => void (await vi.advanceTimersByTimeAsync(ms));
  try {
    const drain = new AbortController();
    const reported = once(silent, "connection");
    const starting = start(world, {
      data,
      address: { ...world.address, url },
      drain: { signal: drain.signal, seconds: 3600 },
    });
    await reported;
    await pass(FIRST_REPORT_MS);
    await using service = await starting;
    const again = once(silent, "connection");
    await pass(REPORT_RETRY_MS);
    await again; // a report is under way, for up to REPORT_TIMEOUT_MS

    const told = once(silent, "connection");
    drain.abort();
    await told;
    await pass(DRAIN_LEAST_MS - 1);
    expect(service.messages()).not.toContain("rendezvous ends");
    await pass(1);
    await service.ended;
    expect(service.messages()).toContain("rendezvous ends");
  } finally {
    vi.restoreAllMocks();
    vi.useRealTimers();
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
});

test("another --public changes the root-signed statement, and tickets with it", async () => {
  await using world = await World.start();
  const data = join(world.folder.path, "rz");
  const first = await start(world, { data, secret: await newSecret(world) });
  await first.stop();
  await using second = await start(world, { data, publicAt: "np.example.org:7801" });
  expect(second.address).toBe("tcp://np.example.org:7801");
  const { entries, statements } = world.directory.registry.offer(Date.now());
  expect(entries[0]?.addresses).toEqual(["tcp://np.example.org:7801", "ws://np.example.org:7801"]);
  expect(await readFile(join(data, "state/rendezvous.json"), "utf8")).toContain(JSON.stringify(statements[0]?.text));
});

test("without a secret it says where to get one, and leaves the port alone", async () => {
  await using world = await World.start();
  await expect(start(world, {})).rejects.toMatchObject({
    code: "E_NOT_ACTIVATED",
    next: expect.stringContaining("sshnp-directory rendezvous add"),
  });
});

test("a wrong secret and a used one are refused as such", async () => {
  await using world = await World.start();
  await expect(start(world, { secret: Secret.fromBytes(random(32)) })).rejects.toMatchObject({ code: "E_CRAM_WRONG" });
  const secret = await newSecret(world);
  await using _service = await start(world, { secret });
  await expect(start(world, { secret, data: join(world.folder.path, "other") })).rejects.toMatchObject({
    code: "E_CRAM_USED",
  });
});

test("the data folder of one directory's rendezvous is not used at another directory", async () => {
  await using world = await World.start();
  await using other = await World.start();
  const data = join(world.folder.path, "rz");
  await (await start(world, { data, secret: await newSecret(world) })).stop();
  const secret = await newSecret(other);
  await expect(start(other, { data, secret })).rejects.toMatchObject({ code: "E_DIRECTORY_KEY" });
});

test("a directory that has lost its store takes the same keys again with a new secret", async () => {
  await using world = await World.start();
  const data = join(world.folder.path, "rz");
  await (await start(world, { data, secret: await newSecret(world) })).stop();
  await world.pause();
  await rm(join(world.data.path, "store"), { recursive: true });
  await world.resume(0, { acceptOlderLog: true });
  await expect(start(world, { data })).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
  await using _service = await start(world, { data, secret: await newSecret(world) });
  await meet(world, world.directory.registry.offer(Date.now()).entries);
});

test("a port that is taken is told as such", async () => {
  await using world = await World.start();
  await using service = await start(world, { secret: await newSecret(world) });
  const port = Number(service.address.split(":").at(-1));
  const options = { secret: await newSecret(world, "rz2"), data: join(world.folder.path, "rz2") };
  await expect(start(world, { ...options, listen: { host: "127.0.0.1", port } })).rejects.toMatchObject({
    code: "E_RUNNING",
  });
});

test("its files are private, and neither they nor its log hold a secret or a name", async () => {
  await using world = await World.start();
  const data = join(world.folder.path, "rz");
  const secret = await newSecret(world);
  await using service = await start(world, { data, secret });
  await meet(world, world.directory.registry.offer(Date.now()).entries);
  await expect.poll(() => service.messages()).toContain("session ended");
  const files = (await readdir(data, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  expect(files.map(({ name }) => name).toSorted()).toEqual([
    "activation.json",
    "key-list.json",
    "rendezvous-keys.json",
    "rendezvous.json",
    "running",
  ]);
  for (const { parentPath, name } of files) {
    expect((await stat(join(parentPath, name))).mode & 0o777).toBe(0o600);
    const text = await readFile(join(parentPath, name), "utf8");
    expect(text).not.toContain(hex(secret.secretBytes()));
    expect(text).not.toContain("@");
  }
  const log = JSON.stringify(service.log);
  expect(log).not.toContain(hex(secret.secretBytes()));
  expect(log).not.toContain("@");
});

interface Service extends AsyncDisposable {
  /** What it said first. */
  readonly address: string;
  readonly log: readonly Record<string, unknown>[];
  readonly messages: () => unknown[];
  /** Settles when it has ended. */
  readonly ended: Promise<void> | undefined;
  stop(): Promise<void>;
}

/** A rendezvous in this process, once it serves. */
async function start(
  world: World,
  options: Partial<ServiceOptions> & { readonly address?: DirectoryAddress },
): Promise<Service> {
  const log: Record<string, unknown>[] = [];
  const stop = new AbortController();
  let serving: Promise<void> | undefined;
  const address = await new Promise<string>((resolve, reject) => {
    serving = serveRendezvous(
      {
        ...{ suite, random, secret: undefined, publicAt: undefined, excerptBytes: 0 },
        data: join(world.folder.path, "rz"),
        directory: options.address ?? world.address,
        listen: { host: "127.0.0.1", port: 0 },
        log: pino({ level: "debug", base: null }, { write: (line) => void log.push(JSON.parse(line)) }),
        onServing: resolve,
        ...options,
      },
      stop,
    );
    serving.catch(reject);
  });
  const end = async (): Promise<void> => {
    stop.abort();
    await serving;
  };
  const messages = (): unknown[] => log.map(({ msg }) => msg);
  return { address, log, messages, ended: serving, stop: end, [Symbol.asyncDispose]: end };
}

async function newSecret(world: World, name = "rz1"): Promise<Secret> {
  const secret = Secret.fromBytes(random(32));
  await world.administration.addRendezvous(name, activationKey(suite, secret, RENDEZVOUS_ACTIVATION).publicKey);
  return secret;
}

/** What tickets of this directory are made with, for its one rendezvous. */
function meetingOf(world: World, entries: readonly TicketEntry[]): Meeting {
  const { boot } = must(entries[0]);
  return { suite, ticketKey: world.directory.keyring.ticket, rendezvous: newKey(), boot };
}

/** Two legs with a ticket of the directory meet, and part again. */
async function meet(world: World, entries: readonly TicketEntry[]): Promise<void> {
  const meeting = meetingOf(world, entries);
  const session = newSession(meeting, { entries });
  const client = await dial(meeting, session, "client");
  const device = await dial(meeting, session, "device");
  await Promise.all([client.joined, device.joined]);
  client.socket.end("hello");
  expect((await readAll(device.socket)).toString()).toBe("hello");
  device.socket.end();
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("it should be there");
  return value;
}
