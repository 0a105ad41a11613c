import { constants } from "node:os";
import type { ProcessEnd, WindowSize } from "./running.ts";

/*
 * What is said on the socket between the daemon and a process that holds a terminal, a line each. Daemon: first the request,
 * JSON, then `size COLUMNS ROWS` and `signal SIGNAME`. Holder: `started`, then `status N` or `signal NAME`.
 */

/** The program to run, and who is to be become; nobody when the holder runs as the account already. */
export interface HeldRequest {
  readonly become: { readonly login: string; readonly uid: number; readonly gid: number } | undefined;
  readonly program: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly size: WindowSize;
}

export type HeldOrder = WindowSize | { readonly signal: NodeJS.Signals };

export function encodeHeldRequest(request: HeldRequest): string {
  return `${JSON.stringify(request)}\n`;
}

/** Of the daemon, which is believed. */
export function readHeldRequest(line: string): HeldRequest {
  return JSON.parse(line) as HeldRequest;
}

export function encodeHeldOrder(order: HeldOrder): string {
  return "signal" in order ? `signal ${order.signal}\n` : `size ${order.columns} ${order.rows}\n`;
}

/** Of the daemon, which is believed. */
export function readHeldOrder(line: string): HeldOrder {
  const [kind, first = "", second = ""] = line.split(" ");
  if (kind === "signal") return { signal: first as NodeJS.Signals };
  return { columns: Number(first), rows: Number(second) };
}

export function encodeHeldReport(report: "started" | ProcessEnd): string {
  if (report === "started") return "started\n";
  return "status" in report ? `status ${report.status}\n` : `signal ${report.signal}\n`;
}

/** Undefined when it is none. */
export function parseHeldReport(line: string): "started" | ProcessEnd | undefined {
  if (line === "started") return "started";
  const [, kind, word = ""] = /^(status|signal) (0|[1-9][0-9]{0,2}|[A-Z][A-Z0-9]{1,7})$/.exec(line) ?? [];
  if (kind === "status" && Number(word) <= 255) return { status: Number(word) };
  if (kind === "signal" && `SIG${word}` in constants.signals) return { signal: word };
  return undefined;
}
