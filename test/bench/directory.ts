import { join } from "node:path";
import { type RunningProcess, startCommand } from "../support/processes.ts";
import type { Machine } from "../support/stack.ts";

/** The data folder of the directory on a machine. */
export function dataOf(server: Machine): string {
  return join(server.home, "directory");
}

export interface StartOptions {
  /** The address that it had before. */
  readonly address?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** More words for it. */
  readonly words?: readonly string[];
}

/** Starts the directory of a machine on a free port, and waits until it says its address. */
export async function startDirectory(
  server: Machine,
  { address = "", env = {}, words: more = [] }: StartOptions = {},
): Promise<{ readonly process: RunningProcess; readonly address: string }> {
  const listen = /127\.0\.0\.1:\d+/.exec(address)?.[0] ?? "127.0.0.1:0";
  const words = ["run", "--data", dataOf(server), "--listen", listen, ...more];
  const process = startCommand("sshnp-directory", words, { env: { ...server.options.env, ...env } });
  const [line] = await process.line(/^http:\/\/127\.0\.0\.1:\d+#SHA256:\S+$/);
  return { process, address: line };
}
