import type { DeviceEntry } from "../../../directory/client.ts";
import { isoTime } from "../../../keys/iso-time.ts";
import { hostName, type Name } from "../../../keys/names.ts";
import { printable } from "../../../keys/print-error.ts";
import { printableJson } from "../../../keys/printable-json.ts";
import { minute, table } from "../../../keys/table.ts";
import { ago, duration } from "../../ago.ts";

/** A device of a name, as the directory says it stands. */
export type ListedDevice = { readonly name: Name } & DeviceEntry;

/** How devices are printed; `tabs`, which has no name on the command line, is for programs that cut lines. */
export type LsForm = "table" | "wide" | "tabs" | "json" | "ndjson" | "name";

/** All of them, in that form, one newline at its end; empty for none, but in JSON. `now`: ms since 1970, by the directory's clock. */
export function devicesText(devices: readonly ListedDevice[], form: LsForm, now: number): string {
  switch (form) {
    case "table":
      return devices.length === 0 ? "" : table([HEADINGS, ...devices.map((device) => cells(device, now))]);
    case "wide":
      return devices.length === 0 ? "" : table([WIDE_HEADINGS, ...devices.map((device) => wideCells(device, now))]);
    case "json":
      return printableJson({ v: 1, time: isoTime(now), devices: devices.map(deviceJson) });
    case "tabs":
    case "ndjson":
    case "name":
      return devices.map((device) => deviceLine(device, form)).join("");
  }
}

/** One of them, for forms of a line each. */
export function deviceLine(device: ListedDevice, form: "tabs" | "ndjson" | "name"): string {
  switch (form) {
    case "tabs": {
      const { name, member, state } = device;
      return `${[name, member, state, isoOf(device) ?? "", versionOf(device) ?? ""].join("\t")}\n`;
    }
    case "ndjson":
      return `${printable(JSON.stringify({ v: 1, ...deviceJson(device) }))}\n`;
    case "name":
      return `${hostName(device)}\n`;
  }
}

const HEADINGS = ["NAME", "DEVICE", "STATE", "LAST SEEN", "VERSION"];
const WIDE_HEADINGS = [...HEADINGS, "HOST", "SINCE"];

function cells(device: ListedDevice, now: number): string[] {
  return [device.name, device.member, device.state, seen(device, now), versionOf(device) ?? ""];
}

function wideCells(device: ListedDevice, now: number): string[] {
  const time = timeOf(device);
  return [...cells(device, now), hostName(device), time === undefined ? "" : minute(time)];
}

function seen(device: ListedDevice, now: number): string {
  if (device.state === "online") return `now, for ${duration(now - device.since)}`;
  return device.state === "offline" ? ago(device.lastSeen, now) : "never";
}

/** Since when it is online, or when it was last seen. */
function timeOf(device: DeviceEntry): number | undefined {
  if (device.state === "never seen") return undefined;
  return device.state === "online" ? device.since : device.lastSeen;
}

function isoOf(device: DeviceEntry): string | undefined {
  const time = timeOf(device);
  return time === undefined ? undefined : isoTime(time);
}

function versionOf(device: DeviceEntry): string | undefined {
  return device.state === "online" ? device.version : undefined;
}

function deviceJson(device: ListedDevice): object {
  const { name, member, state } = device;
  return {
    ...{ name, device: member, host: hostName(device), state },
    since: device.state === "online" ? isoTime(device.since) : null,
    lastSeen: device.state === "offline" ? isoTime(device.lastSeen) : null,
    version: versionOf(device) ?? null,
  };
}
