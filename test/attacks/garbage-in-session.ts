import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Socket } from "node:net";
import { RECORD_BYTES } from "../../protocol/limits.ts";
import type { Attack } from "./attack.ts";
import type { InterceptedLeg } from "./interceptor.ts";
import { AttackingMember } from "./member.ts";
import { takeTurns } from "./traffic.ts";

const PAUSE_MS = 500;
/** For an end to see that what came is not its peer's, on a busy machine. */
const PATIENCE_MS = 10_000;

/** What is put between the records of a session. `passed`: all that went the same way before. */
type Garbage = (passed: Buffer) => Buffer;

const GARBAGE: Readonly<Record<string, Garbage>> = {
  "a record of random bytes": () => record(randomBytes(200)),
  "the longest record of random bytes": () => record(randomBytes(RECORD_BYTES)),
  "a record that is too long": () => Buffer.concat([lengthOf(RECORD_BYTES + 1), randomBytes(64)]),
  "an empty record": () => lengthOf(0),
  "what went the same way before": (passed) => passed,
  "a megabyte of random bytes": () => randomBytes(1024 * 1024),
};

/** Puts garbage on the legs of sessions that are under way: after CONFIRM, when both ends have keys and the stream is open. */
export const garbageInSession: Attack = {
  name: "garbage-in-session",
  from: "between",
  surface: "both ends: what comes between the records of a session that has been confirmed",
  async run(target, signal) {
    const member = await AttackingMember.of(target.stack.client.keys, target.stack.address);
    const kinds = Object.entries(GARBAGE);
    let ended = 0;
    await takeTurns(4, signal, async (n) => {
      const [name, garbage] = kinds[(n >> 1) % kinds.length] ?? ["", () => Buffer.alloc(0)];
      const passing: Passing[] = [];
      const session = await member.open(target, signal, (leg) => {
        const far = target.interceptor.dial();
        if (leg.hello.role === "client") passing.push(new Passing(leg, far));
        else new Passing(leg, far);
      });
      if (session === undefined) return;
      const hasSpoken = await Promise.race([session.received, session.ended]);
      const [client] = passing;
      if (!hasSpoken || client === undefined) throw new Error("a session did not come about");
      if (n % 2 === 0) client.toDevice.write(garbage(client.fromClient.subarray(1)));
      else client.toClient.write(garbage(client.fromDevice.subarray(1)));
      const hasEnded = await Promise.race([session.ended.then(() => true), delay(PATIENCE_MS, false, { ref: false })]);
      if (!hasEnded) throw new Error(`${name} to the ${n % 2 === 0 ? "device" : "client"} did not end the session`);
      ended++;
      await session.close();
      await delay(PAUSE_MS, undefined, { signal }).catch(() => {});
    });
    return `${ended} sessions ended by ${kinds.length} kinds of garbage in either direction`;
  },
};

/** A leg that goes on to the rendezvous, with all that passes: one byte, the kind of path or the rendezvous' word, then records. */
class Passing {
  readonly toClient: Socket;
  readonly toDevice: Socket;
  fromClient: Buffer;
  fromDevice = Buffer.alloc(0);

  constructor({ socket, read, length }: InterceptedLeg, far: Socket) {
    this.toClient = socket;
    this.toDevice = far;
    this.fromClient = Buffer.from(read.subarray(length));
    far.write(read);
    socket.on("data", (chunk: Buffer) => (this.fromClient = Buffer.concat([this.fromClient, chunk])));
    far.on("data", (chunk: Buffer) => (this.fromDevice = Buffer.concat([this.fromDevice, chunk])));
    socket.pipe(far);
    far.pipe(socket);
    socket.on("close", () => far.destroy());
    far.on("close", () => socket.destroy());
  }
}

function lengthOf(length: number): Buffer {
  const bytes = Buffer.alloc(3);
  bytes.writeUIntBE(length, 0, 3);
  return bytes;
}

function record(body: Buffer): Buffer {
  return Buffer.concat([lengthOf(body.length), body]);
}
