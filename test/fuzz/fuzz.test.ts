import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { temporaryFolder } from "../support/temp-folder.ts";
import { PARSERS } from "./table.ts";

const ROOT = join(import.meta.dirname, "../..");
/** For each parser, but where its row says why it has a smaller share; all of them for those whose memory seems to grow. */
const INPUTS = 100_000;
const ENOUGH = 20_000;
/** The same inputs at every run, so that a failure is of the change at hand; `npm run fuzz` draws others. */
const SEED = 20_261_124;
/** A busy machine may take a quarter of an hour for what a quiet one does in one minute. */
const TIMEOUT_MS = 30 * 60_000;

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const started = new Set<ChildProcess>();
afterAll(() => {
  for (const child of started) child.kill("SIGKILL");
});

function startFuzz(args: readonly string[], folder?: string): { child: ChildProcess; ended: Promise<Ended> } {
  const env = { ...process.env, ...(folder === undefined ? {} : { TMPDIR: folder }) };
  const child = spawn(process.execPath, [join(ROOT, "scripts/fuzz.mjs"), ...args], { cwd: ROOT, env });
  started.add(child);
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (data: Buffer) => (said.stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (said.stderr += data.toString()));
  const ended = once(child, "close").then(([status]) => {
    started.delete(child);
    return { status: typeof status === "number" ? status : null, ...said };
  });
  return { child, ended };
}

const run = (args: readonly string[]): Promise<Ended> => startFuzz(args).ended;
const broken = (name: string, ...more: readonly string[]): Promise<Ended> =>
  run(["--worker", "test/fuzz/broken-worker.ts", "--inputs", "20000", "--seed", "5", "--only", name, ...more]);

describe(`with ${ENOUGH} inputs that are nearly right, and ${INPUTS} where memory grows`, () => {
  let result: Ended;
  beforeAll(async () => {
    result = await run(["--inputs", String(INPUTS), "--enough", String(ENOUGH), "--seed", String(SEED)]);
  }, TIMEOUT_MS);

  // By row, so that a failure names its parser and says how to repeat it.
  test.each(PARSERS.map(({ name, share = 1 }) => [name, share] as const))("%s keeps its promises", (name, share) => {
    const lines = result.stdout.split("\n");
    const failure = lines.findIndex((line) => line.startsWith(`FAILED  ${name}: `));
    expect(lines.slice(failure, failure < 0 ? 0 : failure + 4).join("\n")).toBe("");
    const line = lines.find((each) => each.startsWith(`${name.padEnd(42)} `)) ?? result.stderr;
    const inputs = [ENOUGH, INPUTS].map((all) => Math.round(all * share)).join("|");
    expect(line.slice(name.length)).toMatch(new RegExp(`^ +(?:${inputs}) inputs +\\d+ % accepted`));
  });

  test("the fuzzer says so with its exit status", () => {
    expect(result.stdout).toMatch(new RegExp(`^${PARSERS.length} parsers held, 0 did not$`, "m"));
    expect(result.status).toBe(0);
  });
});

describe("the fuzzer", { timeout: TIMEOUT_MS }, () => {
  test("finds nothing wrong with a parser that keeps its promises", async () => {
    expect(await broken("good")).toMatchObject({ status: 0 });
  });

  test.each([
    ["throws", "it throws TypeError: 0x42 is not expected"],
    ["two forms", "what was accepted is printed as"],
    ["slow", "it takes 4"],
    ["allocates", "bytes of memory"],
    ["leaks", "bytes of memory"],
    ["pollutes", "it changes the prototype of every object"],
    ["refuses all", "only 0 of 20000 inputs were accepted"],
    ["minds borders", "in one chunk"],
  ])("finds a parser that %s", async (name, reason) => {
    const { status, stdout } = await broken(name);
    expect(stdout).toContain(`FAILED  ${name}: `);
    expect(stdout).toContain(reason);
    expect(status).toBe(1);
  });

  test.each([
    ["leaks", "bytes of memory"],
    ["creeps", "bytes of memory"],
    ["refuses all", "only 0 of 20000 inputs were accepted"],
  ])("finds a parser that %s when fewer inputs might be enough", async (name, reason) => {
    const { status, stdout } = await broken(name, "--inputs", "100000", "--enough", "20000");
    expect(stdout).toContain(`FAILED  ${name}: `);
    expect(stdout).toContain(reason);
    expect(status).toBe(1);
  });

  test("ends early with a parser that keeps its promises", async () => {
    const { status, stdout } = await broken("good", "--inputs", "100000", "--enough", "20000");
    expect(stdout).toMatch(/^good +20000 inputs/);
    expect(status).toBe(0);
  });

  test("finds a parser that hangs, and says on which input", async () => {
    const { status, stdout } = await broken("hangs", "--hang", "2");
    expect(stdout).toContain("FAILED  hangs: no end after 2 s");
    expect(stdout).toMatch(/input, \d+ bytes: (?:[0-9a-f]{2})*42/);
    expect(status).toBe(1);
  });

  test("makes the input shorter, and the commands that it prints repeat the failure", async () => {
    const first = await broken("throws");
    expect(first.stdout).toMatch(/input, 1 bytes, made shorter from \d+: 42\n/);
    const commands = [...first.stdout.matchAll(/npm run fuzz -- --only 'throws' (.*)$/gm)].map(
      ([, rest]) => rest ?? "",
    );
    expect(commands).toHaveLength(2);
    for (const command of commands) {
      const again = await broken("throws", ...command.split(" "));
      expect(again.stdout).toContain("FAILED  throws: it throws TypeError");
      expect(again.status).toBe(1);
    }
  });

  test("gives the same inputs for the same seed, others for another", async () => {
    const accepted = async (seed: string): Promise<string | undefined> =>
      /(\d+ % accepted)/.exec((await run(["--only", "ticket, signed", "--inputs", "300", "--seed", seed])).stdout)?.[1];
    const [one, again] = [await accepted("1"), await accepted("1")];
    expect(again).toBe(one);
    const others = await Promise.all(["2", "3", "4"].map((seed) => accepted(seed)));
    expect(others.some((other) => other !== one)).toBe(true);
  });

  test("runs with the true primitives alone when it is told to", async () => {
    const { status, stdout } = await run(["--only", "signed anew", "--suite", "native", "--inputs", "200"]);
    expect(stdout).toMatch(/parsers held, 0 did not/);
    expect(status).toBe(0);
  });

  test("ends on Ctrl-C and leaves nothing behind", async () => {
    await using folder = await temporaryFolder();
    const { child, ended } = startFuzz(["--only", "record", "--inputs", "1000000000"], folder.path);
    await new Promise<void>((resolve) => child.stderr?.once("data", () => resolve()));
    child.kill("SIGINT");
    expect(await ended).toMatchObject({ status: 130 });
    expect(readdirSync(folder.path)).toEqual([]);
  });

  test.each([
    [["--inputs", "0"], 2],
    [["--inputs", "many"], 2],
    [["--frob"], 2],
    [["--hex", "00"], 2],
    [["--only", "no such parser"], 2],
    [["--help"], 0],
  ])("%j ends with status %i and says how it is used", async (args, status) => {
    const ended = await run(args);
    expect(ended.status).toBe(status);
    expect(ended.stdout + ended.stderr).toContain("Usage: npm run fuzz");
  });
});
