import { Stack } from "../support/stack.ts";
import { settledRss } from "./proc.ts";
import type { Row } from "./row.ts";

/** What sshnpd has in memory while nothing happens: after its start, and after a session. */
export async function idleDaemon({
  signal,
  log,
}: {
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}): Promise<readonly Row[]> {
  await using stack = await Stack.start({ withoutTap: true });
  log("letting an idle daemon settle");
  const fresh = await settledRss(stack.daemon.pid, signal);
  const { code, stderr } = await stack.ssh("true");
  if (code !== 0) throw new Error(`no session: ${stderr}`);
  log("and once more, after a session");
  const used = await settledRss(stack.daemon.pid, signal);
  const megabytes = (name: string, bytes: number, note: string): Row => ({
    ...{ name, unit: "MB", ours: bytes / 1e6, peer: undefined },
    note,
  });
  return [
    megabytes("sshnpd: RSS idle", fresh, "linked, no session yet"),
    megabytes("  after a session", used, "the same daemon, a minute later"),
  ];
}
