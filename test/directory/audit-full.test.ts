import { closeSync, openSync, readdirSync, readlinkSync } from "node:fs";
import { mkdir, readFile, rename, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { pino } from "pino";
import { expect, test } from "vitest";
import { Audit } from "../../directory/audit.ts";
import { AuditAnchors } from "../../directory/audit/anchors.ts";
import { printHead } from "../../directory/audit/tail.ts";
import { parseMember } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import {
  AUDIT_AGAIN_MS,
  AUDIT_ANCHOR_AGAIN_MS,
  AUDIT_ANCHOR_MS,
  AUDIT_FIRST_ANCHOR_MS,
  AUDIT_WAITING,
} from "../../protocol/limits.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { http } from "./raw.ts";
import { Watched } from "./watched.ts";
import { newPerson, patience, putMessage, random, suite, World } from "./world.ts";

test("an audit that takes no lines is tried once a second, and statements without room for theirs are refused until it does", async () => {
  let tries = 0;
  const log = pino(
    { level: "error" },
    { write: (line: string) => void (tries += Number(line.includes("audit failed"))) },
  );
  await using watched = await Watched.start({ log });
  const { world } = watched;
  const { audit } = world.directory;
  const owner = await world.activated("@acme", "laptop", "client");
  let members = 0;
  const put = async (): Promise<unknown> => {
    const ofOwner = { owner: owner.owner, statement: owner.statement };
    const member = newPerson(owner.name, parseMember(`m${(members += 1)}`), "client", ofOwner);
    const client = world.client();
    return await client
      .request(member.x25519, putMessage(member.binding), { signal: patience() })
      .catch((e: unknown) => e);
  };

  // Somebody has moved the file, and no other one can be made.
  const file = join(world.data.path, "audit.ndjson");
  await rename(file, `${file}.1`);
  await mkdir(file);
  const write = (): void => audit.write({ event: "started", address: "http://127.0.0.1:1" });
  const failsAgain = async (): Promise<void> => {
    const before = tries;
    await expect.poll(() => (write(), tries), { timeout: 20_000, interval: 20 }).toBeGreaterThan(before);
  };
  const readiness = async (): Promise<unknown> => {
    const found = (await world.directory.readiness.look()).checks.find(({ name }) => name === "audit");
    return [(await http(world.address.url, "/readyz")).status, found?.status, found?.reason];
  };
  expect(await readiness()).toEqual([200, "ok", undefined]);
  await failsAgain();
  const waits = [200, "degraded", "it cannot be written, and its lines wait"];
  await expect.poll(readiness, { timeout: 20_000 }).toEqual(waits);
  const [since, before] = [performance.now(), tries];
  for (let i = 0; i < 200; i += 1) {
    write();
    await turn();
  }
  expect(tries - before).toBeLessThanOrEqual(1 + (performance.now() - since) / AUDIT_AGAIN_MS);
  // What is not lost for want of room yet is held.
  expect(await put()).toMatchObject({ type: "logged" });
  while (!audit.isFull) write();
  for (let i = 0; i < 5; i += 1) write();
  expect(await put()).toMatchObject({ code: "E_STORAGE" });
  await expect(audit.sync()).rejects.toThrow("could not be written");
  expect(audit.lost).toBeGreaterThanOrEqual(6);
  await expect.poll(async () => (await watched.value("audit_lost_total")) === audit.lost).toBe(true);
  // A balancer is to send statements to somebody else.
  const refuses = [503, "failed", "it takes no more lines, so statements are refused"];
  await expect.poll(readiness, { timeout: 20_000 }).toEqual(refuses);

  // Nobody writes any more, and all is well again all the same.
  await rmdir(file);
  await expect.poll(readiness, { timeout: 20_000 }).toEqual([200, "ok", undefined]);
  await expect.poll(put, { timeout: 20_000 }).toMatchObject({ type: "logged" });
  await audit.sync();
  const lines = (await readFile(file, "utf8")).trimEnd().split("\n");
  const events = lines.map((line) => JSON.parse(line) as { event: string; lines?: number; statements?: unknown });
  expect(events.length).toBeGreaterThan(AUDIT_WAITING);
  expect(events.reduce((sum, { lines: lost = 0 }) => sum + lost, 0)).toBeGreaterThanOrEqual(6);
  expect(events.filter(({ statements }) => statements !== undefined)).toHaveLength(2);
  await world.directory.anchorAudit();
});

test("where the audit stands is noted once it can be, and until then no line that comes is waited for to try it", async () => {
  const errors: unknown[] = [];
  await using place = await temporaryFolder();
  const folder = await PrivateFolder.openOrCreate(join(place.path, "np"));
  const audit = await Audit.open({
    ...{ suite, random, folder, logSize: 0 },
    ...{ anchored: () => Promise.resolve(undefined), onError: (error: unknown) => errors.push(error) },
  });
  await audit.sync();
  const noted = folder.pathOf("audit-head");
  const before = await readFile(noted, "utf8");
  const descriptor = Number(readdirSync("/proc/self/fd").find((fd) => isLinkTo(noted, fd)));
  point(descriptor, "/dev/full");
  audit.write({ event: "started", address: "http://127.0.0.1:1" });
  await expect(audit.sync()).rejects.toThrow("could not be written");
  expect(errors).toContainEqual(expect.objectContaining({ code: "ENOSPC" }));
  expect(await readFile(noted, "utf8")).toBe(before);

  point(descriptor, noted);
  const head = await audit.sync();
  expect(await readFile(noted, "utf8")).toBe(printHead(head));
  await audit.close();
  expect((await readFile(folder.pathOf("audit.ndjson"), "utf8")).trimEnd().split("\n")).toHaveLength(2);
});

test("a file that cannot be begun anew is not held open, however often that is tried", async () => {
  const errors: unknown[] = [];
  await using place = await temporaryFolder();
  const folder = await PrivateFolder.openOrCreate(join(place.path, "np"));
  const audit = await Audit.open({
    ...{ suite, random, folder, logSize: 0 },
    ...{ anchored: () => Promise.resolve(undefined), onError: (error: unknown) => errors.push(error) },
  });
  await audit.sync();
  const file = folder.pathOf("audit.ndjson");
  const held = (): string[] => readdirSync("/proc/self/fd").filter((fd) => isLinkTo(file, fd));
  const [descriptor = ""] = held();
  await rename(file, `${file}.1`);
  point(Number(descriptor), "/dev/null"); // which cannot be synchronised
  const write = async (): Promise<void> => {
    audit.write({ event: "started", address: "http://127.0.0.1:1" });
    await audit.sync().catch(() => {});
  };
  await expect.poll(async () => (await write(), errors.length), { timeout: 20_000 }).toBeGreaterThan(3);
  expect(held()).toEqual([]);

  point(Number(descriptor), `${file}.1`);
  await audit.sync();
  expect(held()).toHaveLength(1);
  await audit.close();
  expect(held()).toEqual([]);
  expect(await readFile(file, "utf8")).toContain('"started"');
});

function isLinkTo(path: string, fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) === path;
  } catch {
    return false; // the one by which the folder was read
  }
}

/** Makes an open descriptor one of this file: what is opened gets the lowest that is free. */
function point(descriptor: number, path: string): void {
  closeSync(descriptor);
  const others: number[] = [];
  let opened = openSync(path, "r+");
  for (; opened < descriptor; opened = openSync(path, "r+")) others.push(opened);
  for (const other of others) closeSync(other);
  expect(opened).toBe(descriptor);
}

test("what could not be put into the log is tried again soon, and after a success it is not due for long", async () => {
  await using world = await World.start();
  const { audit, statementLog } = world.directory;
  const anchors = new AuditAnchors(audit, world.store.database, 0);
  const now = AUDIT_FIRST_ANCHOR_MS;
  expect(anchors.isDue(now)).toBe(true);
  const noTurn = (): Promise<never> => Promise.reject(new Error("no turn"));
  await expect(anchors.anchor(statementLog, now, noTurn)).rejects.toThrow("no turn");
  expect(anchors.isDue(now + AUDIT_ANCHOR_AGAIN_MS - 1)).toBe(false);
  const later = now + AUDIT_ANCHOR_AGAIN_MS;
  expect(anchors.isDue(later)).toBe(true);
  await anchors.anchor(statementLog, later, async (action) => await world.store.exclusively(action));
  expect(anchors.isDue(later + AUDIT_ANCHOR_MS - 1)).toBe(false);
  expect(anchors.isDue(later + AUDIT_ANCHOR_MS)).toBe(true);
});
