import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Duplex, PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { parseMember, parseName } from "../../keys/names.ts";
import { bindChannel } from "../../protocol/channel/bind-channel.ts";
import { Channel } from "../../protocol/channel/channel.ts";
import { LEG_STATUS } from "../../protocol/leg-hello.ts";
import { CONFIRM_MS, LINGER_MS, SSH_GONE_MS } from "../../protocol/limits.ts";
import { bridge } from "../../sshnp/bridge.ts";
import { Progress } from "../../sshnp/progress.ts";
import { openSession, type Session } from "../../sshnp/session.ts";
import { SshWatch } from "../../protocol/ssh-watch.ts";
import { dial } from "../rendezvous/serving.ts";
import { CLOCK } from "../../sshnpd/clock.ts";
import { newSession, newWorld } from "../rendezvous/world.ts";

const ATTEMPT = {
  client: parseName("@client"),
  device: { name: parseName("@device"), member: parseMember("mygateway") },
  login: "",
  directory: "http://np.example.org:7800",
};
const AGREED = {
  keys: {
    initiatorToResponder: new Uint8Array(32).fill(1),
    responderToInitiator: new Uint8Array(32).fill(2),
    handshakeHash: new Uint8Array(32),
    export: () => new Uint8Array(32),
  },
  limits: { earlyWindow: 65_536, streamWindow: 262_144, sessionWindow: 1_048_576, streams: 4 },
};

/** In the rendezvous' place: takes what comes, and says what the test wants. */
let rendezvous: Server;
const legs: Socket[] = [];
beforeEach(async () => {
  rendezvous = createServer((leg) => legs.push(leg.on("error", () => {}))).listen(0, "127.0.0.1");
  await once(rendezvous, "listening");
});
afterEach(() => {
  vi.useRealTimers();
  for (const leg of legs.splice(0)) leg.destroy();
  rendezvous.close();
});

test.each([
  ["joins the legs and swallows what comes", [LEG_STATUS.joined]],
  ["joins the legs and says the first byte of a device", [LEG_STATUS.joined, 0]],
  ["never joins the legs", []],
])("ssh is let go, with the reason, when a rendezvous %s", async (_what, says) => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const session = await begin(says);
  const ssh = { from: new PassThrough(), to: new PassThrough().resume() };
  ssh.from.write("SSH-2.0-OpenSSH_9.2\r\n");
  const stream = session.open("ssh", { only: true });
  const copied = bridge(stream, ssh, new SshWatch());
  vi.advanceTimersByTime(CONFIRM_MS - 1);
  expect(stream.destroyed).toBe(false);
  vi.advanceTimersByTime(1);
  await copied;
  vi.advanceTimersByTime(LINGER_MS);
  expect(await session.ended).toMatchObject({
    code: "E_TIMEOUT",
    message: expect.stringMatching(
      /^The device answered, but did not .* the rendezvous within 20 s \(mygateway of @device\)\.$/,
    ),
  });
  await session.close();
});

test("ssh that has gone is let go, even when the device has no end", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const ssh = { from: new PassThrough(), to: new PassThrough().resume() };
  const stream = new Duplex({ read: () => {}, write: (_bytes, _encoding, taken) => taken() });
  const copied = bridge(stream, ssh, new SshWatch());
  const ended = once(ssh.from, "end");
  ssh.from.end("the last that it says");
  await ended;
  vi.advanceTimersByTime(SSH_GONE_MS - 1);
  stream.push("a word");
  await once(ssh.to, "data");
  vi.advanceTimersByTime(SSH_GONE_MS - 1);
  expect(stream.destroyed).toBe(false);
  vi.advanceTimersByTime(1);
  await copied;
  expect(stream.destroyed).toBe(true);
});

test("a session that the device ends as revoked says so, and what was open breaks", async () => {
  const { port } = rendezvous.address() as AddressInfo;
  const world = newWorld();
  const ticket = newSession(world, { addresses: [`tcp://127.0.0.1:${port}`] });
  const connected = once(rendezvous, "connection") as Promise<[Socket]>;
  const leg = await dial(world, ticket, "client", { signal: new AbortController().signal });
  const [socket] = await connected;
  await once(socket, "data"); // the hello
  socket.once("data", (bytes: Buffer) => {
    socket.unshift(bytes.subarray(1)); // the byte with which a path begins
    const channel = new Channel({
      role: "device",
      send: world.suite.aead(AGREED.keys.responderToInitiator),
      receive: world.suite.aead(AGREED.keys.initiatorToResponder),
      limits: AGREED.limits,
    });
    const device = bindChannel(channel, socket, {
      ...{ signal: new AbortController().signal, clock: CLOCK, onConfirmed: () => device.close("revoked") },
    });
  });
  socket.write(Uint8Array.of(LEG_STATUS.joined));
  const session = openSession(world.suite, ATTEMPT, AGREED, leg, new Progress(false));
  const broken = once(session.open("ssh"), "error");
  expect(await session.ended).toMatchObject({
    ...{ name: "DeniedError", code: "E_NOT_AUTHORIZED" },
    message: "mygateway of @device has withdrawn the access of @client.",
  });
  expect(await broken).toMatchObject([{ name: "DeniedError" }]);
});

/** A session on a leg that has said its hello, and was told this. */
async function begin(says: readonly number[]): Promise<Session> {
  const { port } = rendezvous.address() as AddressInfo;
  const world = newWorld();
  const ticket = newSession(world, { addresses: [`tcp://127.0.0.1:${port}`] });
  const connected = once(rendezvous, "connection") as Promise<[Socket]>;
  const leg = await dial(world, ticket, "client", { signal: new AbortController().signal });
  const [socket] = await connected;
  await once(socket, "data");
  socket.resume().write(Uint8Array.from(says));
  if (says.length > 0) await leg.joined;
  return openSession(world.suite, ATTEMPT, AGREED, leg, new Progress(false));
}
