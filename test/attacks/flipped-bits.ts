import { Transform } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { Attack } from "./attack.ts";
import type { InterceptedLeg, Interceptor } from "./interceptor.ts";
import { AttackingMember } from "./member.ts";
import { takeTurns } from "./traffic.ts";

const PAUSE_MS = 500;
/** Of each direction, in a session that ends with the first words of the device's SSH server. */
const FROM_CLIENT_BYTES = 60;
const FROM_DEVICE_BYTES = 100;

type Direction = "client to device" | "device to client";

/**
 * Changes one bit on the way, in each session at the next offset: of the hello, of what the rendezvous answers, and of the
 * records behind it. Every tenth session is left alone, so that it is seen that they would have come about.
 */
export const flippedBits: Attack = {
  name: "flipped-bits",
  from: "between",
  surface: "both ends and rendezvous: every byte of a leg from the hello to the first words of the SSH server",
  async run(target, signal) {
    const member = await AttackingMember.of(target.stack.client.keys, target.stack.address);
    let flipped = 0;
    let left = 0;
    await takeTurns(6, signal, async (n) => {
      const isLeft = n % 10 === 0;
      const direction: Direction = n % 2 === 0 ? "device to client" : "client to device";
      const offset = isLeft
        ? Number.POSITIVE_INFINITY
        : (n >> 1) % (direction === "client to device" ? FROM_CLIENT_BYTES : FROM_DEVICE_BYTES);
      const session = await member.open(target, signal, (leg) => {
        passChanged(
          target.interceptor,
          leg,
          leg.hello.role === "client" ? { direction, offset, bit: n % 8 } : undefined,
        );
      });
      if (session === undefined) return;
      const hasSpoken = await Promise.race([session.received, session.ended]);
      if (hasSpoken !== isLeft) {
        throw new Error(
          hasSpoken ? `bit ${n % 8} of byte ${offset} ${direction}: the device was understood` : "nothing arrived",
        );
      }
      await session.close();
      if (isLeft) left++;
      else flipped++;
      await delay(PAUSE_MS, undefined, { signal }).catch(() => {});
    });
    return `${flipped} sessions with a flipped bit, ${left} without`;
  },
};

/** Lets a leg pass to the rendezvous, with one bit changed on its way. */
function passChanged(
  interceptor: Interceptor,
  { socket, read, length }: InterceptedLeg,
  change: { readonly direction: Direction; readonly offset: number; readonly bit: number } | undefined,
): void {
  const far = interceptor.dial();
  const out = flip(change?.direction === "client to device" ? change : undefined);
  const back = flip(change?.direction === "device to client" ? change : undefined);
  far.write(read.subarray(0, length));
  out.pipe(far);
  if (length < read.length) out.write(read.subarray(length));
  socket.pipe(out);
  far.pipe(back).pipe(socket);
  socket.on("close", () => far.destroy());
  far.on("close", () => socket.destroy());
}

function flip(change: { readonly offset: number; readonly bit: number } | undefined): Transform {
  let passed = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const at = (change?.offset ?? Number.POSITIVE_INFINITY) - passed;
      passed += chunk.length;
      if (at < 0 || at >= chunk.length) return done(null, chunk);
      const changed = Buffer.from(chunk);
      changed[at] = (changed[at] ?? 0) ^ (1 << (change?.bit ?? 0));
      done(null, changed);
    },
  }).on("error", () => {});
}
