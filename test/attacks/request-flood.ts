import { MEMBER_REQUESTS_BURST, MEMBER_REQUESTS_PER_SECOND } from "../../protocol/limits.ts";
import type { Attack } from "./attack.ts";
import { AttackingMember } from "./member.ts";
import { pace, takeTurns } from "./traffic.ts";

/** Above what the directory lets a member do for long. */
const PER_SECOND = Math.ceil(1.5 * MEMBER_REQUESTS_PER_SECOND);
/** At most so many are under way while the burst is spent. */
const AT_ONCE = 16;

/** A member that no device admits asks one of them, as often as the directory lets it at once and then more often. */
export const requestFlood: Attack = {
  name: "request-flood",
  from: "elsewhere",
  surface: "directory and device: session requests of an activated name that is not admitted",
  // What it may ask at once takes longer to be spent than this attack takes in `npm test`.
  async prepare({ site }, signal) {
    const member = await AttackingMember.of(site.strangerKeys, site.address);
    await askUntilRefused(() => knock(member, signal), signal);
  },
  async run(site, signal) {
    const member = await AttackingMember.of(site.strangerKeys, site.address);
    const counts: Record<Outcome, number> = { passed: 0, refused: 0, "cut off": 0 };
    const open = new Set<Promise<Outcome>>();
    const ask = async (): Promise<Outcome> => {
      const outcome = await knock(member, signal);
      counts[outcome]++;
      return outcome;
    };
    await askUntilRefused(ask, signal);
    await pace(PER_SECOND, signal, () => {
      const asking = ask().finally(() => open.delete(asking));
      open.add(asking);
    });
    await Promise.all(open);
    if (counts.passed === 0) throw new Error("no request reached the device");
    if (counts.refused === 0) throw new Error(`none of ${counts.passed} requests was one too many`);
    return `${counts.passed} requests passed on, ${counts.refused} refused as too many`;
  },
};

type Outcome = "passed" | "refused" | "cut off";

/** @throws when the directory refuses for another reason than that there are too many. */
async function knock(member: AttackingMember, signal: AbortSignal): Promise<Outcome> {
  try {
    const frame = await member.knock(signal);
    if (frame?.type === "ticket") return "passed";
    if (frame?.type === "refused" && frame.code === "E_RATE") return "refused";
    throw new Error(`the directory said ${JSON.stringify(frame)}`);
  } catch (error) {
    if (signal.aborted) return "cut off";
    throw error;
  }
}

/** Spends what a member may ask at once. */
async function askUntilRefused(ask: () => Promise<Outcome>, signal: AbortSignal): Promise<void> {
  const spent = new AbortController();
  signal.addEventListener("abort", () => spent.abort(), { once: true });
  let asked = 0;
  await takeTurns(AT_ONCE, spent.signal, async () => {
    if ((await ask()) === "refused") spent.abort();
    else if (++asked > 10 * MEMBER_REQUESTS_BURST) throw new Error("the directory never says that it is too much");
  });
}
