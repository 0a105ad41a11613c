import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { ed25519Line, parsePublicKeyLine } from "../../keys/openssh.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { bindChannel, type ChannelBinding } from "../../protocol/channel/bind-channel.ts";
import { Channel } from "../../protocol/channel/channel.ts";
import { CLOCK } from "../../sshnpd/clock.ts";
import type { Account } from "../../sshnpd/accounts.ts";
import { HostKeys } from "../../sshnpd/host-keys.ts";
import type { GrantedSession } from "../../sshnpd/requests.ts";
import { SessionAccess } from "../../sshnpd/session-access.ts";
import { TcpServer } from "../../sshnpd/tcp-server.ts";
import { serveSession, type SessionServices } from "../../sshnpd/session.ts";
import { NOW } from "../protocol/fixtures.ts";
import { type SshServer, startSshServer } from "../support/sshd.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import {
  notifyOf,
  people,
  random,
  readAnswer,
  SILENT,
  type Stage,
  setStage,
  socketPair,
  startRequest,
  suite,
} from "./stage.ts";

const { client, device } = people;

let sshd: SshServer;
let hostKeys: HostKeys;
/** Stands where the SSH server would be, and sees who connects. */
let port: Server;
let portNumber: number;
const connections: Socket[] = [];
beforeAll(async () => {
  sshd = await startSshServer();
  hostKeys = new HostKeys(sshd.port, () => 0, new AbortController().signal);
  port = createServer({ allowHalfOpen: true }, (socket) => connections.push(socket)).listen(0, "127.0.0.1");
  await once(port, "listening");
  portNumber = (port.address() as AddressInfo).port;
});
beforeEach(() => {
  for (const socket of connections.splice(0)) socket.destroy();
});
afterAll(async () => {
  for (const socket of connections) socket.destroy();
  port.close();
  await sshd.stop();
});

test("a client that proves itself reaches the SSH server, both ways, half-close kept", async () => {
  await using play = await begin();
  const stream = play.client().open("ssh");
  await stream.opened;
  const [server] = connections;
  if (server === undefined) throw new Error("nothing has connected");
  stream.end("from the client");
  expect(await readToEnd(server)).toBe("from the client");
  server.end("and from the server");
  expect(await readToEnd(stream)).toBe("and from the server");
});

test("the real server's banner comes through", async () => {
  await using play = await begin({ sshPort: sshd.port });
  const stream = play.client().open("ssh");
  const [banner] = (await once(stream, "data")) as [Uint8Array];
  expect(new TextDecoder().decode(banner)).toMatch(/^SSH-2\.0-/);
});

test("the client is pinned when it has proved itself, and not before", async () => {
  await using play = await begin();
  expect(pins(play.stage)).toEqual([]);
  const stream = play.client().open("ssh");
  await stream.opened;
  expect(pins(play.stage).toSorted()).toEqual(["peer.@client.json", `peer.@client.${client.member}.json`]);
  expect(play.stage.told).toEqual([expect.stringMatching(/^@client is pinned to SHA256:\S{43} \(given\)$/)]);
});

test("a pushed key is written after the proof and ahead of the stream", async () => {
  await using home = await temporaryFolder();
  const key = parsePublicKeyLine(ed25519Line(Ed25519PrivateKey.generate(suite, random).publicKey));
  await using play = await begin({ pushedKey: { login: "somebody", key }, accounts: [accountAt(home.path)] });
  const file = join(home.path, ".ssh/authorized_keys");
  expect([existsSync(file), play.lookedUp]).toEqual([false, []]);
  await play.client().open("ssh").opened;
  expect(readFileSync(file, "utf8")).toBe(`${key.line} sshnp:@client/laptop-client\n`);
  expect(play.lookedUp).toEqual(["somebody"]);
});

test("a key pushed for a login that there is not stops nothing", async () => {
  const key = parsePublicKeyLine(ed25519Line(Ed25519PrivateKey.generate(suite, random).publicKey));
  await using play = await begin({ pushedKey: { login: "nobody-here", key } });
  await play.client().open("ssh").opened;
  expect(play.lookedUp).toEqual(["nobody-here"]);
  expect(connections).toHaveLength(1);
});

test("a pushed key that has no place stops nothing", async () => {
  await using home = await temporaryFolder();
  mkdirSync(join(home.path, ".ssh/authorized_keys"), { recursive: true });
  const key = parsePublicKeyLine(ed25519Line(Ed25519PrivateKey.generate(suite, random).publicKey));
  await using play = await begin({ pushedKey: { login: "somebody", key }, accounts: [accountAt(home.path)] });
  await play.client().open("ssh").opened;
  expect(connections).toHaveLength(1);
});

test.each(["ping", "tcp:10.0.0.1:5432", "tcp:127.0.0.1:22", "tcp:169.254.169.254:80", "SSH", "exec", "ssh:22"])(
  "each stream is judged, whatever the session was granted for: %s is refused",
  async (service) => {
    await using play = await begin();
    const channel = play.client();
    await channel.open("ssh").opened;
    await expect(channel.open(service).opened).rejects.toMatchObject({ code: "E_DEVICE_REFUSED" });
    await channel.open("ssh").opened;
    expect(connections).toHaveLength(2);
  },
);

test("thousands of refused streams leave nothing behind, and the next good one opens", async () => {
  await using play = await begin();
  const channel = play.client();
  await channel.open("ssh").opened;
  for (let round = 0; round < 200; round++) {
    const streams = Array.from({ length: 50 }, () => channel.open("tcp:10.0.0.1:5432"));
    const results = await Promise.allSettled(streams.map(({ opened }) => opened));
    expect(results.every(({ status }) => status === "rejected")).toBe(true);
  }
  await channel.open("ssh").opened;
  expect(connections).toHaveLength(2);
});

test("streams that are broken off as they are asked for reach nothing, and leave nothing at the SSH server", async () => {
  await using play = await begin();
  const channel = new Channel({
    role: "client",
    send: suite.aead(play.keys.initiatorToResponder),
    receive: suite.aead(play.keys.responderToInitiator),
    limits: play.limits,
  });
  const pieces: Uint8Array[] = [Uint8Array.of(0)];
  for (let i = 1; i < play.limits.streams; i++) {
    const number = channel.open("ssh");
    if (number === undefined) throw new Error(`stream ${i} cannot be asked for`);
    channel.reset(number, "cancelled");
    pieces.push(...channel.takeOutput());
  }
  expect(channel.open("ssh")).toBeDefined();
  play.far.write(Buffer.concat([...pieces, ...channel.takeOutput()]));
  await expect.poll(() => connections.length).toBeGreaterThan(0);
  const answered = once(play.far, "data");
  connections[0]?.write("the one stream that was kept");
  await answered;
  hangingUp(play.far).end();
  await play.served;
  expect(connections).toHaveLength(1);
});

test("a stream to an SSH port where nothing listens is refused, the session lives", async () => {
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  const { port: sshPort } = closed.address() as AddressInfo;
  closed.close();
  await once(closed, "close");
  await using play = await begin({ sshPort });
  const channel = play.client();
  for (let i = 0; i < 3; i++) {
    await expect(channel.open("ssh").opened).rejects.toMatchObject({ code: "E_UNREACHABLE" });
  }
});

test("when the server breaks off, so does the stream", async () => {
  await using play = await begin();
  const stream = play.client().open("ssh");
  await stream.opened;
  connections[0]?.write("SSH-2.0-broken\r\n");
  await once(stream, "readable");
  connections[0]?.resetAndDestroy();
  await expect(readToEnd(stream)).rejects.toMatchObject({ code: "E_TRUNCATED" });
});

test("when the client goes, the server's connection is closed and the session counted", async () => {
  await using play = await begin();
  const channel = play.client();
  const stream = channel.open("ssh");
  await stream.opened;
  const [server] = connections;
  if (server === undefined) throw new Error("nothing has connected");
  stream.write("12345");
  await once(server, "data");
  server.write("1234567");
  await once(stream, "data");
  const ended = once(server, "end");
  channel.close("finished");
  await ended;
  const { end, counts } = await play.served;
  expect(end).toEqual({ how: "closed", by: "peer", code: "finished" });
  expect(counts).toEqual({ received: 5, sent: 7 });
});

test("when the daemon stops, the client is told that the device goes away", async () => {
  await using play = await begin();
  const channel = play.client();
  await channel.open("ssh").opened;
  play.stop.abort();
  expect(await channel.closed).toEqual({ how: "closed", by: "peer", code: "going-away" });
});

test("when the client is revoked, it is told so, and what it had open is closed", async () => {
  await using play = await begin();
  const channel = play.client();
  const stream = channel.open("ssh");
  await stream.opened;
  const [server] = connections;
  if (server === undefined) throw new Error("nothing has connected");
  const closed = once(server.resume(), "close");
  const broken = expect(readToEnd(stream)).rejects.toMatchObject({ name: "DeniedError", code: "E_NOT_AUTHORIZED" });
  play.revoked.abort();
  expect(await channel.closed).toEqual({ how: "closed", by: "peer", code: "revoked" });
  expect((await play.served).end).toEqual({ how: "closed", by: "us", code: "revoked" });
  await broken;
  server.end();
  await closed;
});

test("a client that was revoked ahead of its proof reaches nothing with it", async () => {
  await using play = await begin();
  play.revoked.abort();
  const channel = play.client();
  channel.open("ssh").on("error", () => {});
  expect((await play.served).end).toEqual({ how: "closed", by: "us", code: "revoked" });
  expect((await channel.closed).how).toBe("truncated"); // a device seals nothing for whoever has proved nothing
  expect([connections, play.confirmed, pins(play.stage), play.stage.told]).toEqual([[], 0, [], []]);
});

test("a path that goes without a farewell is reported as broken off", async () => {
  await using play = await begin();
  await play.client().open("ssh").opened;
  play.far.destroy();
  expect((await play.served).end.how).toBe("truncated");
});

const NOISE: Record<string, (far: Socket) => void> = {
  "nothing, then the end": (far) => far.end(),
  "the byte of a resumption": (far) => far.write(Uint8Array.of(1, 0, 0, 0, 1, 0, 0)),
  "the right byte, then the end": (far) => far.end(Uint8Array.of(0)),
  "the right byte and a record of random ones": (far) => far.write(Uint8Array.of(0, 0, 0, 180, ...random(180))),
  "the right byte and a length out of bounds": (far) => far.write(Uint8Array.of(0, 255, ...random(200))),
  "the right byte and a record of zeros": (far) => far.write(Uint8Array.of(0, 0, 0, 25, ...new Uint8Array(25))),
  "the right byte and an empty record": (far) => far.write(Uint8Array.of(0, 0, 0, 0)),
  "the banner of an SSH client": (far) => far.write("SSH-2.0-OpenSSH_9.2\r\n"),
};
test.each(Object.keys(NOISE))("a stranger at the rendezvous gets nowhere with %s", async (what) => {
  await using play = await begin();
  NOISE[what]?.(hangingUp(play.far));
  await play.served.catch(() => {});
  expect([connections, pins(play.stage), play.confirmed, play.stage.told]).toEqual([[], [], 0, []]);
});

test("records of another session of the same client are not taken", async () => {
  await using other = await begin();
  await using play = await begin();
  hangingUp(play.far).write(Uint8Array.of(0));
  const channel = new Channel({
    role: "client",
    send: suite.aead(other.keys.initiatorToResponder),
    receive: suite.aead(other.keys.responderToInitiator),
    limits: other.limits,
  });
  channel.open("ssh");
  for (const piece of channel.takeOutput()) play.far.write(piece);
  await play.served.catch(() => {});
  expect([connections, pins(play.stage), play.confirmed]).toEqual([[], [], 0]);
});

test("OPEN without CONFIRM ahead of it reaches nothing", async () => {
  await using play = await begin();
  const channel = new Channel({
    role: "client",
    send: suite.aead(play.keys.initiatorToResponder),
    receive: suite.aead(play.keys.responderToInitiator),
    limits: play.limits,
  });
  channel.open("ssh");
  const records = Buffer.concat(channel.takeOutput());
  const confirmBytes = 3 + records.readUIntBE(0, 3);
  expect(records.length).toBeGreaterThan(confirmBytes);
  hangingUp(play.far).write(Uint8Array.of(0));
  play.far.write(records.subarray(confirmBytes));
  await play.served.catch(() => {});
  expect([connections, pins(play.stage), play.confirmed]).toEqual([[], [], 0]);
});

test("whoever has stolen the device's key can ask in anybody's name, and reaches nothing", async () => {
  // Noise IK: msg1 is made of es and ss, and the device's key opens both; se of msg2 takes the client's own.
  const stolen = device.x25519;
  const clientPublic = client.x25519.publicKey;
  const pretence: CipherSuite = {
    ...suite,
    x25519PublicKey: (bytes) => (bytes.every((byte) => byte === 1) ? clientPublic.bytes : suite.x25519PublicKey(bytes)),
    dh: (privateKey, publicKey) =>
      privateKey === pretended && publicKey.equals(stolen.publicKey)
        ? suite.dh(stolen, clientPublic)
        : suite.dh(privateKey, publicKey),
  };
  const pretended = X25519PrivateKey.parse(pretence, new Uint8Array(32).fill(1));
  const initiator = startRequest({ clientKey: pretended, suite: pretence });
  await using stage = await setStage(hostKeys);
  const notify = notifyOf(initiator);
  const answer = await stage.answer(notify);
  expect(answer).toHaveProperty("message2"); // the device cannot tell yet
  expect(stage.granted).toHaveLength(1);
  expect(() => readAnswer(initiator, answer, notify.ticket)).toThrow(expect.objectContaining({ code: "E_PROTOCOL" }));

  const [session] = stage.granted;
  if (session === undefined) throw new Error("not granted");
  const [near, far] = await socketPair();
  const services = { sshServer: sshServerAt(portNumber), accountFor: () => Promise.resolve(undefined) };
  const { signal } = new AbortController();
  const served = serve(near, session, stage, services, { signal, revoked: signal, onConfirmed: () => {} });
  // What an attacker can still try: the keys that it can compute are not those of the session.
  const guess = new Channel({
    role: "client",
    send: suite.aead(random(32)),
    receive: suite.aead(random(32)),
    limits: { earlyWindow: 1000, streamWindow: 1000, sessionWindow: 1_000_000, streams: 4 },
  });
  guess.open("ssh");
  hangingUp(far).write(Uint8Array.of(0));
  for (const piece of guess.takeOutput()) far.write(piece);
  await served.catch(() => {});
  far.destroy();
  expect([connections, pins(stage), stage.told]).toEqual([[], [], []]);
});

interface Play extends AsyncDisposable {
  readonly stage: Stage;
  readonly served: ReturnType<typeof serveSession>;
  /** Where the client's end of the path is. */
  readonly far: Socket;
  readonly keys: GrantedSession["keys"];
  readonly limits: ConstructorParameters<typeof Channel>[0]["limits"];
  readonly stop: AbortController;
  readonly revoked: AbortController;
  /** How often the client has proved itself. */
  readonly confirmed: number;
  /** The logins whose account was looked up. */
  readonly lookedUp: readonly string[];
  /** The client, as it should be. */
  client(): ChannelBinding;
}

/** A granted session whose two legs have met. */
async function begin(
  changes: { sshPort?: number; pushedKey?: GrantedSession["pushedKey"]; accounts?: readonly Account[] } = {},
): Promise<Play> {
  const stage = await setStage(hostKeys);
  const initiator = startRequest();
  const notify = notifyOf(initiator);
  const { keys, payload } = readAnswer(initiator, await stage.answer(notify), notify.ticket);
  const [granted] = stage.granted;
  if (granted === undefined) throw new Error("not granted");
  const session = { ...granted, pushedKey: changes.pushedKey ?? granted.pushedKey };
  const [near, far] = await socketPair();
  const stop = new AbortController();
  let confirmed = 0;
  const lookedUp: string[] = [];
  const services = {
    sshServer: sshServerAt(changes.sshPort ?? portNumber),
    accountFor: (login: string) => {
      lookedUp.push(login);
      return Promise.resolve(changes.accounts?.find((account) => account.login === login));
    },
  };
  const revoked = new AbortController();
  const served = serve(near, session, stage, services, {
    ...{ signal: stop.signal, revoked: revoked.signal },
    onConfirmed: () => confirmed++,
  });
  served.catch(() => {});
  return {
    stage,
    served,
    far,
    keys,
    limits: payload.limits,
    stop,
    revoked,
    lookedUp,
    get confirmed() {
      return confirmed;
    },
    client: () => {
      far.write(Uint8Array.of(0));
      const channel = new Channel({
        role: "client",
        send: suite.aead(keys.initiatorToResponder),
        receive: suite.aead(keys.responderToInitiator),
        limits: payload.limits,
      });
      return bindChannel(channel, far, { signal: new AbortController().signal, clock: CLOCK });
    },
    [Symbol.asyncDispose]: async () => {
      far.destroy();
      await served.catch(() => {});
      near.destroy();
      await stage[Symbol.asyncDispose]();
    },
  };
}

function serve(
  near: Socket,
  session: GrantedSession,
  { clients, access: rules }: Stage,
  changes: Pick<SessionServices, "sshServer" | "accountFor">,
  control: Omit<Parameters<typeof serveSession>[3], "access">,
) {
  const services = { suite, clients, now: () => NOW + 1000, log: SILENT, ...changes };
  const access = new SessionAccess(session, rules, SILENT, () => {});
  return serveSession(near, session, services, { ...control, access });
}

function sshServerAt(at: number): TcpServer {
  return new TcpServer({ port: at, hostKeys });
}

function accountAt(home: string): Account {
  return { login: "somebody", uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, home };
}

/** Ends when the other side does, as most programs do. */
function hangingUp(far: Socket): Socket {
  return far.resume().once("end", () => far.end());
}

/** Unlike node:stream/consumers this leaves the other direction open. */
async function readToEnd(stream: Duplex): Promise<string> {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(stream, "end");
  return Buffer.concat(chunks).toString();
}

function pins({ keys }: Stage): string[] {
  return readdirSync(keys.path, { recursive: true, encoding: "utf8" })
    .filter((file) => file.includes("peer"))
    .map((file) => file.replace("state/", ""));
}
