import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { writeSeenLog } from "../../keys/log-files.ts";
import { loadClient } from "../../sshnp/client-keys.ts";
import { DirectoryAccess } from "../../sshnp/directory-access.ts";
import { Progress } from "../../sshnp/progress.ts";
import { ORIGIN, people, random, suite } from "../sshnpd/stage.ts";
import { StatementLog } from "../support/statement-log.ts";
import { DIRECTORY, ScriptedDirectory } from "./scripted-directory.ts";

let directory: ScriptedDirectory;
const told: string[] = [];
beforeEach(async () => {
  told.length = 0;
  vi.spyOn(process.stderr, "write").mockImplementation((text) => told.push(String(text)) > 0);
  directory = await ScriptedDirectory.start();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await directory[Symbol.asyncDispose]();
});

async function access(verbose: boolean): Promise<DirectoryAccess> {
  const client = await loadClient(suite, directory.keys.path, undefined, () => Promise.reject(new Error("no guard")));
  return await DirectoryAccess.of(suite, random, client, { stated: undefined, progress: new Progress(verbose) });
}

test("that a peer's checkpoint is not proved is told as that, and not as something that was not written", async () => {
  const other = new StatementLog(suite, people.directory.log, ORIGIN).add(people.device.binding);
  await writeSeenLog(directory.keys, {
    ...{ v: 1, directory: DIRECTORY, checkpoint: directory.log.checkpoint, evidence: [] },
    pending: [{ since: Date.now(), checkpoint: other.checkpoint }],
  });
  (await access(true)).proveSeen(AbortSignal.timeout(20_000));
  await expect.poll(() => told.join("")).toMatch(/a checkpoint that a peer has seen is not proved yet: \S/);
  expect(told.join("")).not.toContain("was not written");
});

test("that another process with the keys was shown another log of the same size is told without -v", async () => {
  const one = await access(false);
  const other = directory.log.copy().add(people.device.binding);
  const mine = directory.log.copy().add(people.client.binding);
  await one.client.fetchKeyList({ signal: AbortSignal.timeout(20_000) });
  await writeSeenLog(directory.keys, {
    ...{ v: 1, directory: DIRECTORY, checkpoint: other.checkpoint, evidence: [] },
  });
  one.client.acceptProof(mine.prove([]));
  await one.remembered();
  expect(told.join("")).toMatch(/^sshnp: what was seen of the directory's log was not written: .*two different trees/m);
});
