import { pino } from "pino";
import { expect, test, vi } from "vitest";
import { LogLines } from "../../directory/cli/log-lines.ts";
import { LOG_HELD_CHARACTERS, LOG_MOMENT_MS } from "../../protocol/limits.ts";
import { startBuilt } from "../support/built-module.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

test("lines of a moment are one write, in their order, and a warning takes along what was ahead of it", () => {
  vi.useFakeTimers();
  try {
    const writes: string[] = [];
    const log = pino({ base: null, timestamp: false }, new LogLines({ write: (lines: string) => writes.push(lines) }));
    const written = (): unknown[] => writes.splice(0).map((lines) => lines.match(/"msg":"\w+"/g)?.join());
    log.info("a");
    expect(written()).toEqual(['"msg":"a"']); // nothing came of late
    for (const word of ["b", "c"]) log.info(word);
    vi.advanceTimersByTime(LOG_MOMENT_MS - 1);
    expect(written()).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(written()).toEqual(['"msg":"b","msg":"c"']);
    log.info("d");
    log.warn("e");
    expect(written()).toEqual(['"msg":"d","msg":"e"']);
    vi.advanceTimersByTime(LOG_MOMENT_MS);
    expect(written()).toEqual([]);
    for (let held = 0; held < LOG_HELD_CHARACTERS; held += 1000) log.info("f".repeat(1000));
    expect(written().length).toBeGreaterThan(0);
  } finally {
    vi.useRealTimers();
  }
});

test.each(["process.exit(3)", "throw new Error('bug')", "process.exitCode = 3"])(
  "a process that ends by %s has written all lines",
  async (end) => {
    await using folder = await temporaryFolder();
    const running = startBuilt(
      folder,
      `const { LogLines } = await load("directory/cli/log-lines.js");
      const lines = new LogLines({ write: (text) => process.stdout.write(text) });
      for (const line of ["a", "b", "c"]) lines.write(line + "\\n");
      ${end};`,
    );
    expect((await running.exit()).stdout).toBe("a\nb\nc\n");
  },
);
