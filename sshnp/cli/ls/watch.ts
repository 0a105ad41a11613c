import { setTimeout as delay } from "node:timers/promises";
import { UnavailableError } from "../../../keys/errors.ts";
import { hostName } from "../../../keys/names.ts";
import { printData } from "../../../keys/print-data.ts";
import { LS_WATCH_MS } from "../../../protocol/limits.ts";
import { deviceLine, devicesText, type ListedDevice } from "./text.ts";

/** What is watched: asks the directory once. */
export interface Watched {
  readonly ask: (signal: AbortSignal) => Promise<readonly ListedDevice[]>;
  /** ms since 1970 UTC, by the directory's clock. */
  readonly now: () => number;
  /** Told when the directory does not answer, and when it does again. */
  readonly note: (text: string) => void;
}

/** Where answers are shown, one after the other. */
export interface Shown {
  show(devices: readonly ListedDevice[]): Promise<void>;
  /** Something else was written to the same terminal. */
  interrupted(): void;
}

/** Asks every LS_WATCH_MS and shows each answer, until it is aborted. A directory that does not answer ends nothing. */
export async function watch(watched: Watched, shown: Shown, signal: AbortSignal): Promise<void> {
  let isLost = false;
  const note = (text: string): void => {
    watched.note(text);
    shown.interrupted();
  };
  for (;;) {
    try {
      const devices = await watched.ask(signal);
      if (isLost) note("the directory answers again");
      isLost = false;
      await shown.show(devices);
    } catch (error) {
      if (!(error instanceof UnavailableError) || signal.aborted) throw error;
      if (!isLost) note(`${error.message} [${error.code}] Trying on.`);
      isLost = true;
    }
    await delay(LS_WATCH_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** Draws the table over the one before; what does not fit the screen is counted. */
export function redraw(form: "table" | "wide", now: () => number): Shown {
  let before = 0;
  return {
    show: async (devices) => {
      const { rows, columns } = process.stdout;
      const lines = fitting(devicesText(devices, form, now()).split("\n").slice(0, -1), rows - 1, columns);
      const back = before === 0 ? "" : `\u001b[${before}A`;
      before = lines.length;
      await printData(`${back}\r\u001b[J${lines.map((line) => `${line}\n`).join("")}`);
    },
    interrupted: () => {
      before = 0;
    },
  };
}

function fitting(lines: readonly string[], rows: number, columns: number): string[] {
  const shown = lines.length <= rows ? lines : lines.slice(0, Math.max(1, rows - 1));
  const more = lines.length > shown.length ? [`... and ${lines.length - shown.length} more`] : [];
  const all = lines.length === 0 ? ["no device"] : [...shown, ...more];
  return all.map((line) => line.slice(0, columns - 1));
}

/** Prints the whole table, and again whenever a device is not as it was, with an empty line ahead. */
export function printTables(form: "table" | "wide", now: () => number): Shown {
  let before: string | undefined;
  return {
    show: async (devices) => {
      const state = devices.map((device) => deviceLine(device, "tabs")).join("");
      if (state === before) return;
      const text = devices.length === 0 ? "no device\n" : devicesText(devices, form, now());
      await printData(`${before === undefined ? "" : "\n"}${text}`);
      before = state;
    },
    interrupted: () => {},
  };
}

/** Prints all at first, then each device that is not as it was, one line each; a device that is listed no more as `gone`. */
export function printChanges(form: "tabs" | "ndjson" | "name"): Shown {
  let before = new Map<string, { readonly device: ListedDevice; readonly line: string }>();
  return {
    show: async (devices) => {
      const now = new Map(devices.map((device) => [hostName(device), { device, line: deviceLine(device, form) }]));
      const changed = [...now]
        .filter(([host, { line }]) => before.get(host)?.line !== line)
        .map(([, { line }]) => line);
      const gone = [...before].filter(([host]) => !now.has(host)).map(([, { device }]) => goneLine(device, form));
      before = now;
      const text = [...changed, ...gone].join("");
      if (text !== "") await printData(text);
    },
    interrupted: () => {},
  };
}

function goneLine({ name, member }: ListedDevice, form: "tabs" | "ndjson" | "name"): string {
  if (form === "tabs") return `${[name, member, "gone", "", ""].join("\t")}\n`;
  if (form === "name") return "";
  return `${JSON.stringify({ v: 1, name, device: member, host: hostName({ name, member }), state: "gone" })}\n`;
}
