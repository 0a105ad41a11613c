import { once } from "node:events";
import { connect } from "node:net";
import { performance } from "node:perf_hooks";
import { parseLegHello, LEG_STATUS } from "../../protocol/leg-hello.ts";
import type { Attack } from "./attack.ts";
import { honestConnect } from "./honest-client.ts";
import type { Target } from "./target.ts";
import { pace } from "./traffic.ts";

const PER_SECOND = 50;
const KEPT = 64;
/** A recorded hello is played again when the rendezvous has surely had the true one. */
const RECORDED_MS = 1_000;

/** Hellos from before the restart, by target. */
const recordings = new WeakMap<Target, Uint8Array[]>();

/** Hellos of honest sessions, recorded on the network and played again: of this start of the rendezvous and of the one before. */
export const replayedHellos: Attack = {
  name: "replayed-hellos",
  from: "between",
  surface: "rendezvous: hellos and tickets that were seen before, also before a restart",
  async prepare(target) {
    const recorded: Uint8Array[] = [];
    const end = target.interceptor.watch(({ read }) => recorded.push(read.slice()));
    for (let i = 0; i < 5; i++) await honestConnect(target.stack);
    end();
    recordings.set(target, recorded);
    await target.restartRendezvous();
  },
  async run(target, signal) {
    const old = recordings.get(target) ?? [];
    const fresh: { readonly bytes: Uint8Array; readonly at: number }[] = [];
    const end = target.interceptor.watch(({ read }) => {
      fresh.push({ bytes: read.slice(), at: performance.now() });
      if (fresh.length > KEPT) fresh.shift();
    });
    const answers = new Map<string, number>();
    const open = new Set<Promise<void>>();
    const play = async (bytes: Uint8Array, allowed: readonly number[], what: string): Promise<void> => {
      const status = await statusOf(target.rendezvousPort, bytes, signal);
      if (status === undefined && signal.aborted) return;
      if (status === undefined) throw new Error(`${what} was not answered`);
      if (!allowed.includes(status)) throw new Error(`${what} was answered with status ${status}`);
      answers.set(what, (answers.get(what) ?? 0) + 1);
    };
    let failure: Error | undefined;
    const { boot, replayed, malformed } = LEG_STATUS;
    await pace(PER_SECOND, signal, (n) => {
      const recent = fresh.filter(({ at }) => performance.now() - at > RECORDED_MS);
      const before = old[n % Math.max(1, old.length)];
      const now = recent[n % Math.max(1, recent.length)]?.bytes;
      const playing =
        n % 3 === 0 && before !== undefined
          ? play(before, [boot], "a hello of the boot before")
          : n % 3 === 1 && now !== undefined
            ? play(now, [replayed], "a hello of this boot")
            : now !== undefined
              ? play(higherDial(now), [malformed], "a ticket with another number")
              : undefined;
      if (playing === undefined) return;
      const settled = playing.catch((error: Error) => void (failure ??= error)).finally(() => open.delete(settled));
      open.add(settled);
    });
    end();
    await Promise.all(open);
    if (failure !== undefined) throw failure;
    if (answers.size < 3) throw new Error(`not all was played: ${[...answers.keys()].join(", ")}`);
    return [...answers].map(([what, count]) => `${what}: ${count}`).join(", ");
  },
};

/** The same ticket and signature, under a number that was not used yet. */
function higherDial(read: Uint8Array): Uint8Array {
  const parsed = parseLegHello(read);
  if (parsed === undefined) throw new Error("a hello was recorded in part");
  const changed = read.slice();
  new DataView(changed.buffer).setUint32(parsed.length - 64 - 4, parsed.hello.dial + 1000);
  return changed;
}

/** The first byte that a rendezvous answers with; undefined when it closes without one. */
async function statusOf(port: number, bytes: Uint8Array, signal: AbortSignal): Promise<number | undefined> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true }).on("error", () => {});
  try {
    socket.write(bytes);
    const closed = once(socket, "close", { signal }).then(() => undefined);
    const [chunk] = ((await Promise.race([once(socket, "data", { signal }), closed])) as [Buffer] | undefined) ?? [];
    return chunk?.[0];
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}
