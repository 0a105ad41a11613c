import { once } from "node:events";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { bindChannel, type ChannelBinding } from "../../protocol/channel/bind-channel.ts";
import { Channel } from "../../protocol/channel/channel.ts";
import type { ChannelStream } from "../../protocol/channel/stream-adapter.ts";
import { STREAMS } from "../../protocol/limits.ts";
import { Progress } from "../../sshnp/progress.ts";
import { openSession, type Session } from "../../sshnp/session.ts";
import { CLOCK } from "../../sshnpd/clock.ts";
import { random, socketPair, suite } from "../sshnpd/stage.ts";

export const ATTEMPT = {
  client: parseName("@client"),
  device: { name: parseName("@device"), member: parseMember("mygateway") },
  login: "",
  directory: "http://np.example.org:7800",
};

const KEYS = {
  initiatorToResponder: new Uint8Array(32).fill(1),
  responderToInitiator: new Uint8Array(32).fill(2),
  handshakeHash: new Uint8Array(32),
  export: () => new Uint8Array(32),
};
const KEY = Ed25519PrivateKey.generate(suite, random).publicKey;
const LIMITS = { earlyWindow: 49_152, streamWindow: 262_144, sessionWindow: 4_194_304, streams: STREAMS };

/** A session, and the device's end of it, over one connection with nobody in between. */
export interface DeviceSession {
  readonly session: Session;
  readonly device: ChannelBinding;
}

/** `onOpen` has each stream that is asked for; they are accepted unless it is given. */
export async function deviceSession(
  onOpen: (stream: ChannelStream) => void = (stream) => stream.accept(),
): Promise<DeviceSession> {
  const [near, far] = await socketPair();
  const leg = { socket: near, joined: Promise.resolve(), rendezvous: KEY, address: "tcp://192.0.2.1:7801" };
  const session = openSession(suite, ATTEMPT, { keys: KEYS, limits: LIMITS }, leg, new Progress(false));
  const [first] = (await once(far, "data")) as [Buffer];
  far.pause().unshift(first.subarray(1)); // the byte with which a path begins
  let hasConfirmed = (): void => {};
  const confirmed = new Promise<void>((resolve) => (hasConfirmed = resolve));
  const channel = new Channel({
    role: "device",
    send: suite.aead(KEYS.responderToInitiator),
    receive: suite.aead(KEYS.initiatorToResponder),
    limits: LIMITS,
  });
  const device = bindChannel(channel, far, {
    signal: new AbortController().signal,
    clock: CLOCK,
    onConfirmed: () => hasConfirmed(),
    onOpen,
  });
  far.resume();
  await confirmed;
  return { session, device };
}
