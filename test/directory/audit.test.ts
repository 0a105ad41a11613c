import { access, appendFile, copyFile, mkdir, readFile, rename, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EXIT_STATUS } from "../../keys/errors.ts";
import { copyFolder } from "../support/copy-folder.ts";
import type { Exit } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { AuditScene, chained, writeLines } from "./audit-scene.ts";

describe("an audit that somebody else has laid hands on", () => {
  let scene: AuditScene;
  let place: TemporaryFolder;
  let lines: string[];
  /** Before the last lines were written. */
  let older: string[];
  /** What an auditor has seen of the log by then. */
  let seen: string;
  beforeAll(async () => {
    place = await temporaryFolder();
    scene = await AuditScene.start();
    await scene.activated("@acme");
    await scene.command("audit", "anchor", "--data", scene.data);
    older = await scene.lines();
    seen = join(place.path, "seen");
    const first = await verify(older, "--checkpoint", seen);
    expect([first.code, first.stderr]).toEqual([0, expect.stringContaining("was seen for the first time")]);
    await scene.activated("@other");
    await scene.command("name", "add", "@third", "--data", scene.data);
    await scene.command("audit", "anchor", "--data", scene.data);
    await scene.command("name", "add", "@fourth", "--data", scene.data);
    lines = await scene.lines();
  });
  afterAll(async () => {
    await scene[Symbol.asyncDispose]();
    await place.remove();
  });

  /** Verifies these lines from outside, by the log that the directory serves. */
  async function verify(text: readonly string[], ...words: string[]): Promise<Exit> {
    const file = join(place.path, "lines.ndjson");
    await writeLines(file, text);
    return await scene.audit("verify", file, "--directory", scene.address, ...words);
  }

  const at = (event: string, nth = 0): number =>
    lines.flatMap((line, index) => ((JSON.parse(line) as { event: string }).event === event ? [index] : []))[nth] ?? -1;
  const changed = (line = ""): string => line.replace("@acme", "@evil").replace(/"event":"([a-z])/, '"event":"x$1');
  const without = (index: number): string[] => lines.toSpliced(index, 1);

  test("verifies as long as nobody has", async () => {
    const good = await verify(lines, "--checkpoint", seen);
    expect(good.stderr).toMatch(/^Lines after line \d+ of directory [0-9a-f]{16} are not in the log yet: .*\n$/);
    expect([good.code, good.stdout]).toEqual([
      0,
      expect.stringMatching(
        /^directory [0-9a-f]{16}: lines 1 to (\d+) \(.*Z\), held by the log up to line \d+ \(entry \d+\)\nlog: \d+ entries, 4 statements with their lines\n$/,
      ),
    ]);
    expect((await scene.audit("verify")).stdout).toBe(good.stdout);
  });

  test.each<[string, () => string[], RegExp]>([
    ["a changed line", () => lines.with(3, changed(lines[3])), /^sshnp-directory: Line 4 \(.*:4.*\) was changed/],
    ["a removed line", () => without(3), /Line 4 is missing before .*:4/],
    ["removed lines", () => lines.toSpliced(3, 2), /Lines 4 to 5 are missing before .*:4/],
    ["swapped lines", () => lines.with(3, lines[4] ?? "").with(4, lines[3] ?? ""), /Line 4 is missing before .*:4/],
    ["a line that stands there twice", () => lines.toSpliced(3, 0, lines[2] ?? ""), /:4.* is line 3, .* line 4 should/],
    ["a line that is none", () => lines.toSpliced(3, 0, "anything"), /:4.* is not a line of an audit/],
    ["an empty line", () => lines.toSpliced(3, 0, ""), /:4.* is not a line of an audit/],
    ["an end cut off", () => lines.slice(0, at("anchored", 1) - 1), /lines after line \d+ .*are missing/],
    ["the file of an earlier day", () => older, /lines after line \d+ .*are missing: the log holds one \(entry \d+\)/],
    ["no beginning", () => lines.slice(at("anchored", 0) + 2).slice(0, 1), /The log holds none of the lines/],
    [
      "an end cut off, where the beginning is in another file",
      () => lines.slice(at("anchored", 0), at("anchored", 1) - 1),
      /lines after line \d+ .*are missing/,
    ],
    [
      "lines that nobody wrote, behind one that the log held before its newest",
      () => {
        const { n, prev } = JSON.parse(lines[at("anchored", 0)] ?? "") as { n: number; prev: string };
        return chained([changed(lines[at("name added", 2)])], n, prev);
      },
      /lines after line \d+ .*are missing/,
    ],
    ["all lines gone", () => [], /There is no line of an audit/],
    [
      "a changed line in a chain made anew",
      () => chained(lines.with(at("name added"), changed(lines[at("name added")]))),
      /Lines up to line \d+ were changed: line \d+ is not the one that the log holds \(entry \d+\)/,
    ],
    [
      "a line changed after one that the log holds, in a chain made anew",
      () => chained(lines.with(at("name added", 2), changed(lines[at("name added", 2)]))),
      /Lines after line \d+ were changed: line \d+ is not the one that the log holds/,
    ],
    ["a removed line in a chain made anew", () => chained(without(at("name added"))), /were changed: line \d+ is not/],
    [
      "an inserted line in a chain made anew",
      () => chained(lines.toSpliced(at("name added"), 0, lines[at("name added")] ?? "")),
      /were changed: line \d+ is not/,
    ],
    [
      "a statement that nobody made, in a chain made anew",
      () =>
        chained(
          lines.with(at("activation", 1), (lines[at("activation", 1)] ?? "").replace(/"index":\d+/, '"index":2')),
        ),
      /speaks of a statement at entry 2 of the log, where it is not/,
    ],
    [
      "a statement without its line, and the log's word on the lines taken out as well",
      () => chained(lines.filter((_, index) => index !== at("activation", 1) && index < at("anchored", 1))),
      /lines after line \d+ .*are missing/,
    ],
  ])("is told from %s", async (_name, tamper, words) => {
    const found = await verify(tamper());
    expect(found.stderr).toMatch(words);
    expect(found.stderr).toContain("[E_AUDIT]");
    expect([found.code, found.stdout]).toEqual([76, ""]);
  });

  test("is told from lines of another directory", async () => {
    await using other = await AuditScene.start();
    await other.activated("@acme");
    await other.command("audit", "anchor", "--data", other.data);
    const theirs = await other.lines();
    for (const [text, words] of [
      [theirs, /speaks of a statement at entry \d+ of the log, where it is not/],
      [
        [...lines.slice(0, 3), theirs[0] ?? "", ...lines.slice(3)],
        /The log holds none of the lines 1 to 1 of directory/,
      ],
    ] as const) {
      const found = await verify(text);
      expect([found.code, found.stderr]).toEqual([76, expect.stringMatching(words)]);
    }
  });

  test("by the data folder alone as well, whether its directory runs or not", async () => {
    const good = await readFile(scene.file);
    try {
      await writeLines(scene.file, lines.with(3, changed(lines[3])));
      expect((await scene.audit("verify")).stderr).toMatch(/Line 4 .* was changed/);
    } finally {
      await writeFile(scene.file, good);
    }
  });

  test("an export of an earlier day is held against the log as it was then", async () => {
    const size = /log: (\d+) entries/.exec((await verify(lines)).stdout)?.[1];
    expect((await verify(older)).code).toBe(76);
    const [first = ""] = (await readFile(seen, "utf8")).split("\n").slice(1, 2);
    expect(Number(first)).toBe(Number(size));
    const then = (JSON.parse(older.at(-1) ?? "") as { index: number }).index + 2;
    const found = await verify(older, "--log-size", String(then));
    expect([found.code, found.stdout]).toEqual([0, expect.stringContaining(`log: ${then} entries, 2 statements`)]);
    // What came later is not looked at, and a change before it is found all the same.
    expect((await verify(older.with(3, changed(older[3])), "--log-size", String(then))).code).toBe(76);
    expect((await verify(lines, "--log-size", "1000000")).stderr).toContain("[E_USAGE]");
  });

  test("a log that was put back with its audit is found by whoever has seen the newer one", async () => {
    await using old = await AuditScene.start();
    await old.activated("@acme");
    await old.end();
    const backup = `${old.data}.backup`;
    await rename(old.data, backup);
    copyFolder(backup, old.data);
    await old.run();
    await old.activated("@other");
    const mine = join(old.home.path, "seen");
    expect((await old.audit("verify", "--checkpoint", mine)).code).toBe(0);
    await old.end();
    copyFolder(backup, `${old.data}.again`);
    expect((await old.command("audit", "verify", "--data", `${old.data}.again`)).code).toBe(0);
    const found = await old.command("audit", "verify", "--data", `${old.data}.again`, "--checkpoint", mine);
    expect([found.code, found.stderr]).toEqual([
      76,
      expect.stringMatching(/had \d+ when it was seen before.*\[E_LOG\]/s),
    ]);
  });
});

test("a line that kill -9 has torn is no change, and the audit goes on behind it", async () => {
  await using scene = await AuditScene.start();
  await scene.activated("@acme");
  for (const bytes of [1, 40, 0]) {
    await scene.command("name", "add", "@other", "--data", scene.data);
    await scene.end("SIGKILL");
    const text = await readFile(scene.file, "utf8");
    const last = text.trimEnd().split("\n").at(-1) ?? "";
    // As the kernel leaves it that had taken a part, none of the newline, or all of it.
    if (bytes > 0) await truncate(scene.file, text.length - Math.min(bytes, last.length));
    await scene.run();
    await scene.command("audit", "anchor", "--data", scene.data);
    const found = await scene.audit("verify");
    expect([found.code, found.stderr]).toEqual([0, expect.not.stringContaining("is not a line")]);
  }
  const events = (await scene.lines()).map((line) => (line.startsWith("{") ? line : "torn"));
  expect(events.filter((line) => line.includes('"event":"torn"'))).toHaveLength(1);
  await scene.end();
  await appendFile(scene.file, '{"n":');
  const found = await scene.audit("verify");
  expect([found.code, found.stderr]).toEqual([0, expect.stringContaining("ends in the middle of a line")]);
  await appendFile(scene.file, "\n");
  expect((await scene.audit("verify")).stderr).toContain("is not a line of an audit");
});

test("kill -9 at any moment: every statement that the log has gets its line, and nothing is told as changed", async () => {
  await using scene = await AuditScene.start();
  for (let round = 0; round < 4; round++) {
    const running = Promise.allSettled(Array.from({ length: 4 }, (_, at) => scene.activated(`@round${round}-${at}`)));
    await scene.directory.errorLine(new RegExp(`@round${round}-`));
    await scene.end("SIGKILL");
    await running;
    await scene.run();
    await scene.command("audit", "anchor", "--data", scene.data);
    const found = await scene.audit("verify");
    expect([found.code, found.stderr]).toEqual([0, expect.stringContaining("The log itself was believed")]);
  }
}, 60_000);

test("the chain goes on over rotation and restart, and files are verified in any order", async () => {
  await using scene = await AuditScene.start();
  await scene.activated("@acme");
  const first = `${scene.file}.2`;
  await rename(scene.file, first);
  await scene.end("SIGKILL");
  await scene.run();
  await scene.activated("@other");
  const second = `${scene.file}.1`;
  await rename(scene.file, second);
  await expect
    .poll(async () => {
      await scene.command("name", "add", "@third", "--data", scene.data);
      return await readFile(scene.file, "utf8").catch(() => "");
    })
    .toContain("name added");
  await scene.command("audit", "anchor", "--data", scene.data);
  const all = await scene.audit("verify", scene.file, first, second);
  expect([all.code, all.stdout]).toEqual([0, expect.stringContaining("4 statements with their lines")]);
  expect((await scene.audit("verify", scene.file, first)).stderr).toMatch(/Lines? .* missing before/);
  const newest = await scene.audit("verify");
  expect([newest.code, newest.stderr]).toEqual([0, expect.stringContaining("are not here")]);
  const copy = join(scene.home.path, "copy");
  await copyFile(second, copy);
  expect((await scene.audit("verify", scene.file, first, second, copy)).code).toBe(76);
});

test("a file that was begun by rotation verifies by the line that it follows, and no other does", async () => {
  await using scene = await AuditScene.start();
  await scene.activated("@acme");
  await scene.end();
  const rotated = `${scene.file}.1`;
  await rename(scene.file, rotated);
  expect((await scene.audit("anchor")).code).toBe(0);
  const alone = await scene.audit("verify");
  expect([alone.code, alone.stderr]).toEqual([
    0,
    expect.stringMatching(
      /^Lines before line \d+ of directory [0-9a-f]{16} are not here\.\nThey are in another file: give it, too\./,
    ),
  ]);
  expect(alone.stdout).toMatch(/: lines (\d+) to \1 \(.*, held by the log up to line \d+ \(entry \d+\)\n/);
  const both = await scene.audit("verify", scene.file, rotated);
  expect([both.code, both.stderr]).toEqual([0, expect.not.stringContaining("another file")]);
  const forged = join(scene.home.path, "forged");
  const found = async (lines: readonly string[]): Promise<Exit> => {
    await writeLines(forged, lines);
    return await scene.audit("verify", forged, "--data", scene.data);
  };
  const [line = ""] = await scene.lines();
  const { n, prev } = JSON.parse(line) as { readonly n: number; readonly prev: string };
  const other = await found(
    chained(
      [line],
      n,
      prev.replace(/^./, (digit) => (digit === "0" ? "1" : "0")),
    ),
  );
  expect([other.code, other.stderr]).toEqual([76, expect.stringMatching(/holds none of the lines \d+ to \d+/)]);
  expect(other.stderr).toMatch(/are not here\. They are in another file: give it, too\./);

  // What the log got since that line has its lines here, or it is told.
  await scene.run();
  await scene.activated("@other");
  await expect.poll(async () => (await scene.lines()).join()).toMatch(/"event":"activation".*"@other/);
  await scene.end("SIGKILL");
  const since = await scene.lines();
  const whole = await scene.audit("verify");
  expect([whole.code, whole.stdout]).toEqual([0, expect.stringContaining("2 statements with their lines")]);
  const gap = await found(
    chained(
      since.filter((one) => !one.includes('"event":"activation"')),
      n,
      prev,
    ),
  );
  expect([gap.code, gap.stderr]).toEqual([76, expect.stringMatching(/statement at entry \d+ of the log has no line/)]);
  const cut = await found(since.slice(0, 1));
  expect([cut.code, cut.stderr]).toEqual([76, expect.stringMatching(/statement at entry \d+ of the log has no line/)]);
  expect((await scene.audit("verify", rotated, "--data", scene.data)).code).toBe(76);
});

test("a folder without the keys of a directory is named, with the options that give another one, and none is made", async () => {
  await using scene = await AuditScene.start();
  await scene.activated("@acme");
  const empty = join(scene.home.path, "empty");
  const missing = join(scene.home.path, "missing");
  await mkdir(empty, { mode: 0o700 });
  const told = async (...words: string[]): Promise<Exit> => await scene.audit("verify", scene.file, ...words);
  const text = (folder: string): string =>
    `sshnp-directory: There are no keys of a directory in ${folder}.
                 Name the folder with which it runs: --data FOLDER
                 Are its keys in another one? Name that, too: --keys FOLDER
                 [E_NO_KEYS]
`;
  expect(await told("--data", empty)).toMatchObject({ code: EXIT_STATUS.E_NO_KEYS, stderr: text(empty) });
  for (const folder of [empty, missing]) {
    const exit = await told("--data", scene.data, "--keys", folder);
    expect(exit).toMatchObject({ code: EXIT_STATUS.E_NO_KEYS, stderr: text(folder) });
  }
  await expect(access(missing)).rejects.toThrow("ENOENT");
});
