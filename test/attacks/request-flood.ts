import { AskAgainError } from "../../directory/client.ts";
import { performance } from "node:perf_hooks";
import { CLIENT_REQUESTS_BURST, CLIENT_REQUESTS_PER_SECOND } from "../../protocol/limits.ts";
import type { Attack } from "./attack.ts";
import { AttackingMember } from "./member.ts";
import { pace, takeTurns } from "./traffic.ts";

/** Above what the directory lets a client name do for long. */
const PER_SECOND = Math.ceil(3 * CLIENT_REQUESTS_PER_SECOND);
/** At most so many are under way while the burst is spent. */
const AT_ONCE = 32;
/** For the burst to be spent: a directory that a slow machine keeps below its rate never refuses. */
const SPENT_MS = 10_000;

/** A member that no device admits asks one of them, as often as the directory lets it at once and then more often. */
export const requestFlood: Attack = {
  name: "request-flood",
  from: "elsewhere",
  surface: "directory and device: session requests of an activated name that is not admitted",
  // What it may ask at once can take longer to be spent than this attack takes in `npm test`.
  async prepare({ site }, signal) {
    const member = await AttackingMember.of(site.strangerKeys, site.address);
    await askUntilRefused(() => knock(member, "again", signal), signal);
  },
  async run(site, signal) {
    const member = await AttackingMember.of(site.strangerKeys, site.address);
    const counts: Record<Outcome, number> = { passed: 0, refused: 0, busy: 0, "cut off": 0 };
    const open = new Set<Promise<void>>();
    const ask = async (what: "anew" | "again"): Promise<Outcome> => {
      const outcome = await knock(member, what, signal);
      counts[outcome]++;
      return outcome;
    };
    const began = performance.now();
    await askUntilRefused(() => ask("again"), signal);
    let failure: Error | undefined;
    await pace(PER_SECOND, signal, () => {
      const asking = ask("anew").then(
        () => void open.delete(asking),
        (error: Error) => void (failure ??= error),
      );
      open.add(asking);
    });
    await Promise.all(open);
    if (failure !== undefined) throw failure;
    const { passed, refused, busy } = counts;
    const seconds = (performance.now() - began) / 1000;
    if (passed === 0) throw new Error("no request was passed on");
    const allowed = CLIENT_REQUESTS_BURST + CLIENT_REQUESTS_PER_SECOND * seconds;
    if (passed > allowed) throw new Error(`${passed} requests were passed on, more than ${allowed.toFixed(0)}`);
    return `${passed} requests passed on, ${refused} refused as too many, ${busy} because it is busy`;
  },
};

type Outcome = "passed" | "refused" | "busy" | "cut off";

/** @throws when the directory refuses for another reason than that there are too many. */
async function knock(member: AttackingMember, what: "anew" | "again", signal: AbortSignal): Promise<Outcome> {
  try {
    const frame = await member.knock(what, signal);
    if (frame?.type === "refused" && frame.code === "E_RATE") return "refused";
    if (frame?.type === "refused" && frame.code === "E_BUSY") return "busy";
    if (frame?.type === "refused") throw new Error(`the directory said ${frame.code}`);
    return "passed";
  } catch (error) {
    if (signal.aborted) return "cut off";
    if (error instanceof AskAgainError && error.code === "E_BUSY") return "busy"; // unread
    throw error;
  }
}

/** Spends what a member may ask at once, as far as this machine gets with that in time. */
async function askUntilRefused(ask: () => Promise<Outcome>, signal: AbortSignal): Promise<void> {
  const spent = new AbortController();
  signal.addEventListener("abort", () => spent.abort(), { once: true });
  const until = performance.now() + SPENT_MS;
  await takeTurns(AT_ONCE, spent.signal, async () => {
    if ((await ask()) === "refused" || performance.now() > until) spent.abort();
  });
}
