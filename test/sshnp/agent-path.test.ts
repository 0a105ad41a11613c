/** Agents of several processes at one path, by processes, sockets and kill -9 as they are. */
import { once } from "node:events";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type Bundle, bundle } from "../keys/bundle.ts";
import { preloading } from "../support/preload.ts";
import { isRunning, type RunningProcess, runProcess, startProcess } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

class Party {
  readonly process: RunningProcess;
  isThere = false;
  key = "";
  #lines = 0;

  constructor(env: Record<string, string>) {
    this.process = startProcess(process.execPath, [script.file, path], { env: { HOME: folder.path, ...env } });
  }

  async does(...words: ("come" | "leave")[]): Promise<void> {
    this.process.stdin.write(`${words.join(" ")}\n`);
    const [, key = ""] = await this.process.line(new RegExp(`^${++this.#lines} (.*)$`));
    this.key = key;
    this.isThere = words.at(-1) === "come";
  }

  get name(): string {
    return `agent.${this.process.pid}`;
  }
}

/** RFC 9987 section 6.1. */
const SSH_AGENTC_REQUEST_IDENTITIES = 11;

let script: Bundle;
let folder: TemporaryFolder;
let path: string;
beforeAll(async () => {
  script = await bundle("../sshnp/session-agent-script.ts");
});
afterAll(() => script.folder.remove());
beforeEach(async () => {
  folder = await temporaryFolder();
  path = join(folder.path, "agent");
});
afterEach(() => folder.remove());

test("the last that came stands for all, then the one before it; the first that leaves takes nobody's away", async () => {
  const [a, b, c] = await parties(3);
  for (const party of [a, b, c]) {
    await party.does("come");
    expect(await keyAtPath()).toBe(party.key);
  }
  await a.does("leave");
  expect(await keyAtPath()).toBe(c.key);
  await a.does("come");
  await a.does("leave");
  expect(await keyAtPath()).toBe(c.key);
  await c.does("leave");
  expect(await keyAtPath()).toBe(b.key);
  await b.does("leave");
  expect(names()).toEqual([]);
});

test("while one leaves and another stands in, everybody who asks is answered", async () => {
  const [a, b] = await parties(2);
  await b.does("come");
  const until = new AbortController();
  const asked = askAllTheWhile(until.signal);
  for (let round = 0; round < 50; round++) await a.does("come", "leave");
  until.abort();
  const { answered, unanswered } = await asked;
  expect(answered).toBeGreaterThan(0);
  // Whoever came to the one that leaves in its last instant is sent away, as by every server.
  expect(unanswered.filter((code) => code !== "ECONNRESET")).toEqual([]);
  expect(await keyAtPath()).toBe(b.key);
});

test("an ssh that is about to log in by the one that leaves is served to its end", async () => {
  const [a, b] = await parties(2);
  await a.does("come");
  await b.does("come");
  const visitor = connect(path);
  const ask = async (): Promise<string> => {
    visitor.write(Buffer.of(0, 0, 0, 1, SSH_AGENTC_REQUEST_IDENTITIES));
    const [answer] = (await once(visitor, "data")) as [Buffer];
    return answer.toString("base64");
  };
  const before = await ask();
  const left = b.does("leave");
  await expect.poll(names).toEqual(["agent", a.name].sort());
  expect(await keyAtPath()).toBe(a.key);
  expect(await ask()).toBe(before);
  visitor.end();
  await left;
});

test("what kill -9 leaves is no agent, and goes with the next that leaves", async () => {
  const [a, b, c] = await parties(3);
  await a.does("come");
  writeFileSync(`${path}.1234567`, ""); // somebody's file
  for (const party of [b, c]) {
    await party.does("come");
    await party.process.kill("SIGKILL");
    expect(isRunning(party.process.pid)).toBe(false);
  }
  expect(names()).toEqual(
    [a, b, c]
      .map(({ name }) => name)
      .concat("agent", "agent.1234567")
      .sort(),
  );
  const [d] = await parties(1);
  await d.does("come", "leave");
  expect(await keyAtPath()).toBe(a.key);
  expect(names()).toEqual([a.name, "agent", "agent.1234567"].sort());
  await a.process.kill("SIGKILL"); // and so the path itself is left
  await d.does("come");
  expect(await keyAtPath()).toBe(d.key);
  await d.does("leave");
  expect(names()).toEqual(["agent.1234567"]);
});

test("whoever lives stands there after any coming and leaving at once, and nobody else's name is gone", async () => {
  const all = await parties(5, SLOW_DISK);
  const draw = drawing(20_261_130);
  for (let round = 0; round < 50; round++) {
    await Promise.all(
      all.map(async (party) => {
        const words = Array.from({ length: draw(3) }, (_, at) => (party.isThere === (at % 2 === 0) ? "leave" : "come"));
        if (words.length > 0) await party.does(...words);
      }),
    );
    const there = all.filter(({ isThere }) => isThere).map(({ name }) => name);
    expect({ round, names: names() }).toEqual({
      round,
      names: [...there, ...(there.length > 0 ? ["agent"] : [])].sort(),
    });
    if (there.length === 0) continue;
    await isAnswered();
    expect(there.map((name) => inode(join(folder.path, name)))).toContain(inode(path));
  }
});

async function parties(count: 1): Promise<[Party]>;
async function parties(count: 2): Promise<[Party, Party]>;
async function parties(count: 3): Promise<[Party, Party, Party]>;
async function parties(count: number, env: Record<string, string>): Promise<Party[]>;
async function parties(count: number, env = {}): Promise<Party[]> {
  const all = Array.from({ length: count }, () => new Party(env));
  await Promise.all(all.map(({ process }) => process.line(/^ready$/)));
  return all;
}

/** Each change takes its time, so that others come in between. */
const SLOW_DISK = preloading(`import fs from "node:fs";
  import { syncBuiltinESMExports } from "node:module";
  const nobodyWakesIt = new Int32Array(new SharedArrayBuffer(4));
  for (const name of ["linkSync", "renameSync", "rmSync", "statSync"]) {
    const real = fs[name];
    fs[name] = (...words) => {
      Atomics.wait(nobodyWakesIt, 0, 0, 40 * Math.random() ** 10);
      return real(...words);
    };
  }
  syncBuiltinESMExports();`);

/** As ssh-add sees it. */
async function keyAtPath(): Promise<string | undefined> {
  const { stdout } = await runProcess("ssh-add", ["-L"], { env: { HOME: folder.path, SSH_AUTH_SOCK: path } });
  return /^ssh-ed25519 (\S+) sshnp session key$/m.exec(stdout)?.[1];
}

async function askAllTheWhile(signal: AbortSignal): Promise<{ answered: number; unanswered: unknown[] }> {
  const told: unknown[] = [];
  while (!signal.aborted) {
    told.push(
      await isAnswered().then(
        () => "answered",
        (error: unknown) => (error instanceof Error && "code" in error ? error.code : error),
      ),
    );
  }
  const unanswered = told.filter((each) => each !== "answered");
  return { answered: told.length - unanswered.length, unanswered };
}

/** Returns when the agent has taken notice. */
async function isAnswered(): Promise<void> {
  const socket = connect(path);
  await once(socket, "connect");
  await once(socket.resume().end(), "close");
}

function names(): string[] {
  return readdirSync(folder.path).sort();
}

function inode(file: string): bigint {
  return statSync(file, { bigint: true }).ino;
}

/** Numbers below `limit`, the same in every run (a linear congruential generator). */
function drawing(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}
