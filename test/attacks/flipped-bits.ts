import { once } from "node:events";
import { Transform } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { LEG_STATUS } from "../../protocol/leg-hello.ts";
import type { Attack } from "./attack.ts";
import type { InterceptedLeg, Interceptor } from "./interceptor.ts";
import { AttackingMember, type VictimSession } from "./member.ts";
import type { Target } from "./target.ts";
import { takeTurns } from "./traffic.ts";

const PAUSE_MS = 500;
/** Of each direction, from the rendezvous' status and from the end of the hello on, to the first words of the SSH server. */
const BYTES = { "client to device": 60, "device to client": 100 } as const;
const ALL_BYTES = BYTES["client to device"] + BYTES["device to client"];
/** Copies of a hello, each with one bit flipped, that come before the true one. */
const HELLOS = 16;
/** For the answer to one of them: one that now says to be longer than it is gets none. */
const HELLO_MS = 300;
/** From one flipped bit to the next, so that soon there was one everywhere. */
const BYTE_STRIDE = 37;
const BIT_STRIDE = 1009;

interface Change {
  readonly direction: keyof typeof BYTES;
  readonly offset: number;
  readonly bit: number;
}

/**
 * Changes one bit on the way, in each session another one: of what the rendezvous answers and of the records, both ways. Every
 * fourth session is left alone and must come about, although copies of its hello with one bit flipped came before it.
 */
export const flippedBits: Attack = {
  name: "flipped-bits",
  from: "between",
  surface: "both ends and rendezvous: every byte of a leg from the hello to the first words of the SSH server",
  async run(target, signal) {
    const member = await AttackingMember.of(target.stack.client.keys, target.stack.address);
    let [flipped, left, hellos] = [0, 0, 0];
    await takeTurns(6, signal, async (n) => {
      const change = n % 4 === 0 ? undefined : changeOf(n - Math.floor(n / 4) - 1);
      const session = await openThrough(member, target, signal, async (leg) => {
        if (leg.hello.role === "device") return void target.interceptor.pass(leg);
        if (change !== undefined) return passChanged(target.interceptor, leg, change);
        const copies = Array.from({ length: HELLOS }, (_, i) => (n / 4) * HELLOS + i);
        await Promise.all(copies.map((count) => tryFlippedHello(target.interceptor, leg, count)));
        hellos += HELLOS;
        target.interceptor.pass(leg);
      }).catch((error: unknown) => {
        if (change === undefined || !isStatus(change)) throw error;
      });
      if (session === undefined) return;
      const hasSpoken = await Promise.race([session.received, session.ended]);
      await session.close();
      if (change === undefined && !hasSpoken) throw new Error("nothing arrived");
      if (change !== undefined && hasSpoken && !isStatus(change)) {
        throw new Error(`bit ${change.bit} of byte ${change.offset} ${change.direction}: the device was understood`);
      }
      if (change === undefined) left++;
      else flipped++;
      await delay(PAUSE_MS, undefined, { signal }).catch(() => {});
    });
    if (flipped === 0 || left === 0) throw new Error("no session was changed, or all were");
    return `${flipped} sessions with a flipped bit, ${left} without, ${hellos} hellos with one`;
  },
};

/** What a rendezvous answers is its own word, whoever says it: after a refusal the ends go another way, or give up. */
function isStatus({ direction, offset }: Change): boolean {
  return direction === "device to client" && offset === 0;
}

function changeOf(count: number): Change {
  const at = (count * BYTE_STRIDE) % ALL_BYTES;
  const bit = (count + Math.floor(count / ALL_BYTES)) % 8;
  const fromClient = BYTES["client to device"];
  return at < fromClient
    ? { direction: "client to device", offset: at, bit }
    : { direction: "device to client", offset: at - fromClient, bit };
}

/** Opens a session whose legs go to `take`; rejects when `take` does. */
async function openThrough(
  member: AttackingMember,
  target: Target,
  signal: AbortSignal,
  take: (leg: InterceptedLeg) => Promise<void>,
): Promise<VictimSession | undefined> {
  return await new Promise((resolve, reject) => {
    member.open(target, signal, (leg) => void take(leg).catch(reject)).then(resolve, reject);
  });
}

/** Brings a copy of a leg's hello with one bit flipped. @throws {Error} when it is joined; one that only waits takes the true one's place. */
async function tryFlippedHello(
  interceptor: Interceptor,
  { read, length }: InterceptedLeg,
  count: number,
): Promise<void> {
  const at = (count * BIT_STRIDE) % (8 * length);
  const copy = read.slice(0, length);
  copy[at >> 3] = (copy[at >> 3] ?? 0) ^ (1 << (at & 7));
  const socket = interceptor.dial();
  try {
    socket.write(copy);
    const signal = AbortSignal.timeout(HELLO_MS);
    const answer = once(socket, "data", { signal }) as Promise<[Buffer]>;
    const [status] = await Promise.race([answer, once(socket, "close", { signal }) as Promise<[]>]).catch(() => []);
    if (status?.[0] === LEG_STATUS.joined) throw new Error(`a hello with bit ${at & 7} of byte ${at >> 3} was joined`);
  } finally {
    socket.destroy();
  }
}

/** Lets a leg pass to the rendezvous, with one bit changed behind its hello. */
function passChanged(interceptor: Interceptor, { socket, read, length }: InterceptedLeg, change: Change): void {
  const far = interceptor.dial();
  const out = flip(change.direction === "client to device" ? change : undefined);
  const back = flip(change.direction === "device to client" ? change : undefined);
  far.write(read.subarray(0, length));
  out.pipe(far);
  if (length < read.length) out.write(read.subarray(length));
  socket.pipe(out);
  far.pipe(back).pipe(socket);
  socket.on("close", () => far.destroy());
  far.on("close", () => socket.destroy());
}

function flip(change: Change | undefined): Transform {
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
