import { expect, test } from "vitest";
import { type MemberName, type Name, parseMember, parseName } from "../../keys/names.ts";
import { devicesText, type ListedDevice, type LsForm } from "../../sshnp/cli/ls/text.ts";

const NOW = Date.UTC(2026, 10, 22, 10, 55);
const MINUTE = 60_000;
const of = (name: string, member: string): { readonly name: Name; readonly member: MemberName } => ({
  name: parseName(name),
  member: parseMember(member),
});

const DEVICES: readonly ListedDevice[] = [
  { ...of("@acme", "gw-1"), state: "online", since: NOW - 30_000, version: "0.1.0" },
  { ...of("@acme", "gw-2"), state: "online", since: NOW - 300 * MINUTE, version: "0.1.1-rc.1+b" },
  { ...of("@acme", "gw-3"), state: "offline", lastSeen: NOW - 14 * MINUTE },
  { ...of("@acme", "gw-4"), state: "offline", lastSeen: NOW + MINUTE }, // by a clock that went back
  { ...of("@device", "mygateway"), state: "offline", lastSeen: Number.MAX_SAFE_INTEGER },
  { ...of("@device", `a${"_".repeat(34)}z`), state: "offline", lastSeen: NOW - 50 * 24 * 60 * MINUTE },
  { ...of(`@${"a".repeat(32)}`, "spare"), state: "never seen" },
];

test.each(["table", "wide", "tabs", "json", "ndjson", "name"] as const)(
  "devices as %s are as they were",
  async (form) => {
    await expect(devicesText(DEVICES, form, NOW)).toMatchFileSnapshot(`ls-${form}.golden.txt`);
  },
);

test.each(["table", "wide", "tabs", "ndjson", "name"] as const)("no device is nothing as %s", (form: LsForm) => {
  expect(devicesText([], form, NOW)).toBe("");
});

test("each line of ndjson, and the whole of json, is JSON of version 1", () => {
  const lines = devicesText(DEVICES, "ndjson", NOW).trimEnd().split("\n");
  expect(lines.map((line) => (JSON.parse(line) as { v: number }).v)).toEqual(DEVICES.map(() => 1));
  expect(JSON.parse(devicesText([], "json", NOW))).toEqual({ v: 1, time: "2026-11-22T10:55:00.000Z", devices: [] });
});
