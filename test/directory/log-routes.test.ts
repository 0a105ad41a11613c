import { spawnSync } from "node:child_process";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { hex } from "../../keys/bytes.ts";
import type { Log } from "../../directory/log/log.ts";
import { LOG_PREFIX, logFile } from "../../directory/log/routes.ts";
import { signKeyList, verifyKeyList } from "../../protocol/key-list.ts";
import { parseLeaf } from "../../protocol/log/leaf.ts";
import { printVerifierKey } from "../../protocol/log/note.ts";
import { startProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { LogWorld, textHash } from "./log-world.ts";
import { readLog } from "./log-reader/reader.ts";
import { http } from "./raw.ts";
import { suite, World } from "./world.ts";

/** Logs statements on a few subjects until the log has `size` entries; from 3 on, any. */
async function growTo(log: Log, size: number): Promise<void> {
  const count = size - log.checkpoint.size - 1;
  const entries = Array.from({ length: count }, (_, at) => ({
    subject: `@acme/m${at % 7}`,
    hash: textHash(`statement ${size} ${at}`),
  }));
  await log.append(entries, []);
}

function read(world: World) {
  const { keyring } = world.directory;
  return readLog(new URL(LOG_PREFIX, world.address.url), keyring.origin, keyring.log.publicKey.bytes);
}

test("a stranger's reader that knows the public layouts alone reads the whole log and finds all of it true, at any size", async () => {
  await using world = await World.start();
  const log = world.directory.statementLog;
  expect((await read(world)).size).toBe(1);
  for (const size of [3, 5, 255, 257, 512, 700, 1024, 66_000]) {
    await growTo(log, size);
    const { leaves, root } = await read(world);
    expect([leaves.length, hex(root)]).toEqual([size, hex(log.checkpoint.root)]);
    expect(parseLeaf(leaves.at(-1) ?? expect.fail()).type).toBe("heads");
  }
}, 180_000);

test("such a reader refuses a log in which one entry is another one than was logged", async () => {
  await using world = await World.start();
  await growTo(world.directory.statementLog, 300);
  const entry = Buffer.from(Uint8Array.of(1, ...textHash("never logged"))).toString("base64");
  const row = { type: "put", key: `log-leaf:${(200).toString(16).padStart(14, "0")}`, value: entry } as const;
  await world.store.database.write("acknowledged", [row]);
  await expect(read(world)).rejects.toThrow("a wrong hash 0 of level 1");
});

test("the checkpoint may be kept for a moment, and a tile for ever, also one that was partial and is full by now", async () => {
  await using world = await World.start();
  const log = world.directory.statementLog;
  await growTo(log, 300);
  const get = async (path: string) => {
    const response = await fetch(new URL(LOG_PREFIX + path, world.address.url));
    const { headers, status } = response;
    const kept = [headers.get("content-type"), headers.get("cache-control")];
    return { status, kept, body: Buffer.from(await response.arrayBuffer()) };
  };
  expect(await get("checkpoint")).toEqual({
    status: 200,
    kept: ["text/plain; charset=utf-8", "public, max-age=2"],
    body: Buffer.from(log.checkpoint.text),
  });
  const immutable = ["application/octet-stream", "public, max-age=31536000, immutable"];
  const paths = ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44"];
  const before = await Promise.all(paths.map(get));
  expect(before.map(({ status, kept }) => ({ status, kept }))).toEqual(
    paths.map(() => ({ status: 200, kept: immutable })),
  );
  expect(before.map(({ body }) => body.length)).toEqual([8192, 44 * 32, 32, 256 * 35, 44 * 35]);
  await growTo(log, 800);
  expect(await Promise.all(paths.map(get))).toEqual(before);
});

test("the log is called by a name that a note can have, also after a list with another name", async () => {
  await using world = await World.start();
  const { keyring } = world.directory;
  expect(keyring.origin).toMatch(/^sshnp-directory\/SHA256:[A-Za-z0-9_-]{43}$/);
  const { list } = verifyKeyList(suite, keyring.keyList, keyring.fingerprint);
  const before = signKeyList(suite, keyring.root, { ...list, seq: list.seq + 1, origin: "sshnp-directory/other" });
  await world.store.putKeyList(before);
  await world.pause();
  await world.resume();
  const now = verifyKeyList(suite, world.directory.keyring.keyList, keyring.fingerprint).list;
  expect(now).toMatchObject({ origin: keyring.origin, seq: list.seq + 2 });
});

test("a tile that the log has not reached is not there yet, and nobody may keep that", async () => {
  await using world = await World.start();
  await growTo(world.directory.statementLog, 300);
  for (const path of [
    ...["tile/0/001", "tile/0/001.p/45", "tile/0/002.p/1", "tile/entries/001", "tile/entries/001.p/45"],
    ...["tile/1/000", "tile/1/000.p/2", "tile/1/001.p/1", "tile/2/000.p/1", "tile/6/000.p/1", "tile/0/x999/999"],
    ...["", "tile", "tiles/0/000", "checkpoint/", "checkpoint?x=1", "Checkpoint", "proof"],
  ]) {
    const response = await fetch(new URL(LOG_PREFIX + path, world.address.url));
    expect([path, response.status, await response.text()]).toEqual([path, 404, ""]);
    expect(response.headers.get("cache-control")).toBe("no-store");
  }
});

test.each([
  ...["tile/", "tile/0", "tile/0/", "tile/0/0", "tile/0/0000", "tile/00/000", "tile/0/x000/000", "tile/0/001/000"],
  ...["tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000.p/1/", "tile/0/000?x"],
  ...["tile/7/000", "tile/63/000", "tile/64/000", "tile/-1/000", "tile/data/000", "tile/entries/", "tile/0//000"],
  ...["tile/0/%30%30%30", "tile/0/..%2f000", "tile/../checkpoint/x", "tile/0/x999/x999/x999/x999/x999/x999/999"],
])("no tile has the path %s", async (path) => {
  await using world = await LogWorld.start();
  expect(await logFile(world.log, LOG_PREFIX + path)).toMatchObject({ status: 400, body: new Uint8Array(0) });
});

test("a path of any length is no tile's", async () => {
  await using world = await LogWorld.start();
  const name = `${LOG_PREFIX}tile/0/${"x001/".repeat(100_000)}000`;
  expect(await logFile(world.log, name)).toMatchObject({ status: 400 });
});

test("over HTTP such a path is answered, too, and other methods and prefixes are none of the log's", async () => {
  await using world = await World.start();
  expect(await http(world.address.url, `${LOG_PREFIX}tile/0/0`)).toMatchObject({ status: 400 });
  expect(await http(world.address.url, `${LOG_PREFIX}tile/0/..%2f..%2f000`)).toMatchObject({ status: 400 });
  for (const method of ["POST", "PUT", "DELETE", "HEAD"]) {
    expect(await http(world.address.url, `${LOG_PREFIX}checkpoint`, { method })).toMatchObject({ status: 404 });
  }
  expect(await http(world.address.url, "/v1/logs/checkpoint")).toMatchObject({ status: 404 });
  expect(await http(world.address.url, `${LOG_PREFIX}checkpoint`)).toMatchObject({ status: 200 });
});

test("whatever is asked for below the prefix is answered by 200, 400 or 404", async () => {
  await using world = await LogWorld.start();
  await growTo(world.log, 600);
  const piece = fc.constantFrom(
    ..."0 1 2 9 000 001 002 x000 x001 / . .p .p/ tile entries checkpoint - % ? 255 256".split(" "),
  );
  const path = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(piece).map((pieces) => pieces.join("")),
    fc.array(piece).map((pieces) => `tile/${pieces.join("/")}`),
    fc.tuple(piece, piece, piece).map(([level, index, width]) => `tile/${level}/${index}.p/${width}`),
  );
  const statuses = new Set<number | undefined>();
  await fc.assert(
    fc.asyncProperty(path, async (name) => {
      const answer = await logFile(world.log, LOG_PREFIX + name);
      statuses.add(answer?.status);
      expect([200, 400, 404]).toContain(answer?.status);
      expect(answer?.body.length === 0).toBe(answer?.status !== 200);
    }),
    { numRuns: 2000, examples: [["checkpoint"], ["tile/0/000"], ["tile/0/0"], ["nothing"]] },
  );
  expect(statuses).toEqual(new Set([200, 400, 404]));
  expect(await logFile(world.log, "/v1/keys")).toBeUndefined();
});

test("where the store is damaged a tile is not served, and everything else is", async () => {
  await using world = await World.start();
  await growTo(world.directory.statementLog, 300);
  await world.store.database.write("acknowledged", [{ type: "del", key: "log-leaf:00000000000007" }]);
  for (const [path, status] of [
    ["tile/entries/000", 503],
    ["tile/0/000", 503],
    ["tile/entries/001.p/44", 200],
    ["tile/1/000.p/1", 200],
    ["checkpoint", 200],
  ] as const) {
    const answer = await http(world.address.url, LOG_PREFIX + path);
    expect([path, answer.status]).toEqual([path, status]);
  }
});

const SOURCE = join(import.meta.dirname, "log-reader");
/** Kept from run to run: a first build compiles half of Go's library. */
const CACHE = join(import.meta.dirname, "../../node_modules/.cache/go");
const GO_ENV = { GOPATH: join(CACHE, "path"), GOCACHE: join(CACHE, "build"), GOFLAGS: "-modcacherw -buildvcs=false" };
const go = (...words: string[]) =>
  spawnSync("go", words, { cwd: SOURCE, env: { ...process.env, ...GO_ENV }, encoding: "utf8", timeout: 150_000 });
const HAS_GO = go("mod", "download").status === 0;

test.runIf(HAS_GO)(
  "Go's libraries for its checksum database read the log and find all of it true",
  async () => {
    await using home = await temporaryFolder();
    const program = join(home.path, "log-reader");
    const { status, stderr } = go("build", "-o", program, ".");
    expect([status, stderr]).toEqual([0, ""]);
    await using world = await World.start();
    const { keyring, statementLog } = world.directory;
    const key = printVerifierKey(suite, { name: keyring.origin, type: "ed25519", publicKey: keyring.log.publicKey });
    for (const size of [1, 3, 256, 700]) {
      if (size > 1) await growTo(statementLog, size);
      await using reader = startProcess(program, [key], { env: { HOME: home.path } });
      for (let number = 1; ; number++) {
        const [, isOver, what = ""] = await reader.line(new RegExp(`^(?:GET ${number}|(read)) (.*)$`));
        if (isOver !== undefined) {
          expect(Number(what)).toBe(size);
          break;
        }
        const answer = await http(world.address.url, LOG_PREFIX + what);
        expect([what, answer.status]).toEqual([what, 200]);
        reader.stdin.write(`${hex(answer.body)}\n`);
      }
      expect(await reader.exit()).toMatchObject({ code: 0, stderr: "" });
    }
  },
  180_000,
);
