import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { addRendezvous } from "../support/one-time-secrets.ts";
import type { RunningProcess } from "../support/processes.ts";
import { startSlowProxy } from "../support/slow-proxy.ts";
import { Stack } from "../support/stack.ts";

const SILENT = 65_535;

interface Measured {
  readonly key: string;
  readonly ms: number;
}

test("both ends measure the rendezvous of their tickets, the near one is named first, and one that hangs is passed by once it was met", {
  timeout: 120_000,
}, async () => {
  await using stack = await Stack.start({ withoutTap: true });
  let port = 0;
  await using slow = await startSlowProxy(() => port, 120);
  const secret = await addRendezvous(join(stack.server.home, "directory"), "far");
  const words = ["run", "--data", join(stack.server.home, "far"), "--directory", stack.address, "-c", secret];
  const far = stack.server.start(
    "sshnp-rendezvous",
    ...words,
    "--listen",
    "127.0.0.1:0",
    "--public",
    `127.0.0.1:${slow.port}`,
  );
  await far.line(/:\d+$/);
  port = await listening(stack, far);
  const measured = async (): Promise<Measured[]> => {
    const state = join(stack.client.keys, "state");
    const name = (await readdir(state)).find((entry) => /^rendezvous-distances\.[0-9a-f]{64}\.json$/.test(entry));
    if (name === undefined) return [];
    return (JSON.parse(await readFile(join(state, name), "utf8")) as { readonly measured: Measured[] }).measured;
  };
  const session = async (until: () => Promise<void>): Promise<void> => {
    const running = stack.startSsh("cat");
    await until();
    running.stdin.end();
    expect(await running.exit()).toMatchObject({ code: 0 });
  };

  await session(() => expect.poll(measured, { timeout: 20_000 }).toHaveLength(2));
  const [near, away] = (await measured()).toSorted((a, b) => a.ms - b.ms);
  expect(away?.ms).toBeGreaterThanOrEqual(120);
  const farSessions = (): number => far.stderr.split('"session ended"').length - 1;
  await expect.poll(() => farSessions() + sessionsOf(stack.rendezvous)).toBe(1);
  const before = farSessions();
  for (let i = 0; i < 4; i += 1) expect(await stack.ssh("true")).toMatchObject({ code: 0 });
  expect(farSessions()).toBe(before);

  process.kill(stack.rendezvous.pid, "SIGSTOP");
  try {
    const isSilent = async (): Promise<boolean> =>
      (await measured()).some(({ key, ms }) => key === near?.key && ms === SILENT);
    await session(() => expect.poll(isSilent, { timeout: 20_000 }).toBe(true));
    expect(await stack.ssh("-v", "true")).toMatchObject({ code: 0 });
    await expect.poll(farSessions).toBe(before + 2);
  } finally {
    process.kill(stack.rendezvous.pid, "SIGCONT");
  }
  await far.stop();
});

function sessionsOf(rendezvous: RunningProcess): number {
  return rendezvous.stderr.split('"session ended"').length - 1;
}

/** Where it listens itself: it names the proxy in front of it. */
async function listening(stack: Stack, { pid }: RunningProcess): Promise<number> {
  const { runProcess } = await import("../support/processes.ts");
  const { stdout } = await runProcess("ss", ["-Hltnp"], { ...stack.server.options, cwd: "/" });
  const line = stdout.split("\n").find((entry) => entry.includes(`pid=${pid},`));
  return Number(/127\.0\.0\.1:(\d+)/.exec(line ?? "")?.[1]);
}
