import { Stack } from "../support/stack.ts";
import type { Bench } from "./bench.ts";
import { startPivot } from "./pivot.ts";
import { settledRss } from "./proc.ts";

/** What sshnpd has in memory while nothing happens: after its start, and after a session. */
export async function idleDaemon(bench: Bench): Promise<void> {
  const { signal, log, row } = bench;
  await using stack = await Stack.start({ withoutTap: true });
  await using pivot = await startPivot(bench, stack.sshd.port);
  log("letting an idle daemon settle");
  const fresh = await settledRss(stack.daemon.pid, signal);
  const { code, stderr } = await stack.ssh("true");
  if (code !== 0) throw new Error(`no session: ${stderr}`);
  log("and once more, after a session");
  const used = await settledRss(stack.daemon.pid, signal);
  const peers = [{ name: "ssh -R", value: (await settledRss(pivot.pids.device, signal)) / 1e6 }];
  const others = { unit: "MB RSS", better: "lower", peers, target: { value: 60 } } as const;
  row({ ...others, name: "sshnpd idle, no session yet", ours: fresh / 1e6 });
  row({ ...others, name: "sshnpd idle, a minute after a session", ours: used / 1e6 });
}
