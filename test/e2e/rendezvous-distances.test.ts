import { expect, test } from "vitest";
import { measuredByClient, sessionsOf, SILENT, startFarRendezvous } from "../support/more-rendezvous.ts";
import { Stack } from "../support/stack.ts";

test("both ends measure the rendezvous of their tickets, the near one is named first, and one that hangs is passed by once it was met", {
  timeout: 120_000,
}, async () => {
  await using stack = await Stack.start({ withoutTap: true });
  await using far = await startFarRendezvous(stack, "far", 120);
  const measured = (): Promise<{ key: string; ms: number }[]> => measuredByClient(stack);
  const session = stack.startSsh("cat");
  await expect.poll(measured, { timeout: 20_000 }).toHaveLength(2);
  session.stdin.end();
  expect(await session.exit()).toMatchObject({ code: 0 });

  const [near, away] = await measured();
  expect(away?.ms).toBeGreaterThanOrEqual(120);
  await expect.poll(() => far.sessions + sessionsOf(stack.rendezvous)).toBe(1);
  const before = far.sessions;
  for (let i = 0; i < 4; i += 1) expect(await stack.ssh("true")).toMatchObject({ code: 0 });
  expect(far.sessions).toBe(before);

  process.kill(stack.rendezvous.pid, "SIGSTOP");
  try {
    // Shorter than it takes to find that a rendezvous does not answer: that it was met in vain is remembered all the same.
    expect(await stack.ssh("true")).toMatchObject({ code: 0 });
    expect(await measured()).toContainEqual({ ...near, ms: SILENT, at: expect.any(Number) });
    const next = await stack.client.run("sshnp", "-v", ...stack.words("true"));
    expect(next.code).toBe(0);
    expect(next.stderr).toContain(`to meet at tcp://127.0.0.1:${far.port}, else `);
    await expect.poll(() => far.sessions).toBe(before + 2);
  } finally {
    process.kill(stack.rendezvous.pid, "SIGCONT");
  }
});
