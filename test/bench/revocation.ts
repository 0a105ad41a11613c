import { setTimeout as delay } from "node:timers/promises";
import type { Bench } from "./bench.ts";
import { percentile } from "./table.ts";

const ROUNDS = 10;

/**
 * From the moment at which the owner starts `sshnp-keys revoke` to the end of a live session of the client that it names: a
 * command, its signature, the log, the device and the client, all of them processes.
 */
export async function revocation(bench: Bench): Promise<void> {
  const stack = await bench.stack();
  const { client } = stack;
  const listed = await client.must("sshnp-keys", "list", "@client", "--json");
  const [{ member } = { member: "" }] = (JSON.parse(listed) as { readonly members: { readonly member: string }[] })
    .members;
  const [wholes, commands]: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    bench.signal.throwIfAborted();
    await using session = stack.startSsh("echo up; exec cat");
    await session.line(/^up$/, { timeoutMs: 30_000, signal: bench.signal });
    const begin = performance.now();
    const ended = session.exit().then(() => performance.now() - begin);
    await client.must("sshnp-keys", "revoke", "@client", member);
    commands.push(performance.now() - begin);
    wholes.push(await ended);
    await client.must("sshnp-keys", "unrevoke", "@client", member);
    await settled(bench);
  }
  const row = { unit: "ms", better: "lower", peers: [] } as const;
  bench.row({
    ...row,
    name: "a live session ends after `revoke` was started, most",
    ours: Math.max(...wholes),
    target: { value: 5000 },
    note: `median ${percentile(wholes, 0.5).toFixed(0)} ms, of which the command itself ${percentile(commands, 0.5).toFixed(0)} ms`,
  });
}

/** A client that is let in again may be refused for a moment by a device that has not heard of it. */
async function settled(bench: Bench): Promise<void> {
  const stack = await bench.stack();
  for (;;) {
    bench.signal.throwIfAborted();
    if ((await stack.ssh("true")).code === 0) return;
    await delay(100, undefined, { signal: bench.signal });
  }
}
