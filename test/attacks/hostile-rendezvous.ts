import { randomBytes } from "node:crypto";
import { LEG_STATUS } from "../../protocol/leg-hello.ts";
import type { Attack } from "./attack.ts";
import type { InterceptedLeg } from "./interceptor.ts";
import { AttackingMember, type VictimSession } from "./member.ts";
import { flood, takeTurns } from "./traffic.ts";
import { setTimeout as delay } from "node:timers/promises";

const PAUSE_MS = 300;

const JOINED = Buffer.of(LEG_STATUS.joined);

/** What a leg is answered with; none of it comes from the other end. */
type Answer = (leg: InterceptedLeg) => void;

/** Turns both ends away: then they try the rendezvous' other address, which leads past the attacker. */
const TURNS_AWAY: readonly Answer[] = [
  ({ socket }) => void socket.end(Buffer.of(0xee)),
  ({ socket }) => void socket.end(Buffer.concat([Buffer.of(LEG_STATUS.boot), randomBytes(16)])),
  ({ socket }) => void socket.end(Buffer.of(LEG_STATUS.full)),
  ({ socket }) => void socket.end(),
  ({ socket }) => void socket.resetAndDestroy(),
  ({ socket }) => void socket.end(Buffer.of(LEG_STATUS.boot, 1)),
];
const WRONG_WORDS: readonly Answer[] = [
  ({ socket }) => void socket.end(Buffer.concat([JOINED, Buffer.of(0), randomBytes(4096)])),
  ({ socket }) => void socket.write(Buffer.concat([JOINED, Buffer.of(0, 0xff, 0xff, 0xff), randomBytes(64)])), // L above its limit
  ({ socket }) => void socket.write(Buffer.concat([JOINED, Buffer.of(0, 1, 0, 0x40), randomBytes(512)])), // L at its limit, never whole
  ({ socket }) => void socket.write(Buffer.concat([JOINED, Buffer.alloc(100_000)])), // records of no length
  ({ socket }) => void socket.write(JOINED), // and no more
  ({ socket }) => flood(socket, JOINED, Buffer.alloc(16 * 1024, 1)),
];
const ANSWERS: readonly Answer[] = [...WRONG_WORDS, ...TURNS_AWAY];

/** Answers to legs that no rendezvous gives, at both ends of a session. */
export const hostileRendezvous: Attack = {
  name: "hostile-rendezvous",
  from: "between",
  surface: "both ends: what a rendezvous answers to a leg and sends on it",
  async run(target, signal) {
    const member = await AttackingMember.of(target.stack.client.keys, target.stack.address);
    const open = new Set<VictimSession>();
    const heard = new Set<number>();
    let opened = 0;
    await takeTurns(2, signal, async (n) => {
      const answer = ANSWERS[n % ANSWERS.length];
      const session = await member.open(target, signal, (leg) => {
        if (signal.aborted) return void leg.socket.destroy();
        signal.addEventListener("abort", () => leg.socket.destroy());
        leg.socket.resume();
        answer?.(leg);
      });
      if (session === undefined) return;
      opened++;
      open.add(session);
      const onReceived = (): Promise<void> => {
        heard.add(n % ANSWERS.length);
        return session.close(); // a device has so many sessions at once, and this one has come about
      };
      void session.received.then(onReceived).catch(() => {});
      void session.ended.then(() => open.delete(session)).catch(() => {});
      await delay(PAUSE_MS, undefined, { signal }).catch(() => {});
    });
    await Promise.all([...open].map((session) => session.close()));
    const taken = [...heard].filter((answer) => answer < WRONG_WORDS.length);
    if (taken.length > 0) throw new Error(`answers ${taken.join(", ")} were taken for the device's`);
    return `${opened} sessions with ${ANSWERS.length} kinds of answers`;
  },
};
