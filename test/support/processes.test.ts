import { expect, test } from "vitest";
import { isRunning, runProcess, startProcess } from "./processes.ts";
import { temporaryFolder } from "./temp-folder.ts";

test("a process runs to its end with an environment of its own", async () => {
  await using folder = await temporaryFolder();
  const env = { HOME: folder.path, WORD: "hello" };
  const exit = await runProcess("sh", ["-c", "echo $WORD $HOME $npm_lifecycle_event; echo oops >&2; exit 3"], { env });
  expect(exit).toEqual({ code: 3, signal: null, stdout: `hello ${folder.path}\n`, stderr: "oops\n" });
});

test("a line that is there already and a line still to come are both found", async () => {
  await using folder = await temporaryFolder();
  await using shell = startProcess("sh", ["-c", "echo one; read word; echo two $word"], { env: { HOME: folder.path } });
  expect((await shell.line(/^on(e)$/))[1]).toBe("e");
  const later = shell.line(/^two (.*)$/);
  shell.stdin.end("three\n");
  expect((await later)[1]).toBe("three");
  expect((await shell.line(/^one$/))[0]).toBe("one");
});

test("waiting for a line ends when the process ends, with what it said", async () => {
  await using folder = await temporaryFolder();
  await using shell = startProcess("sh", ["-c", "echo no such thing >&2; exit 4"], { env: { HOME: folder.path } });
  await expect(shell.line(/never/)).rejects.toThrow(/ended without a line \/never\/.*exit status 4.*no such thing/s);
});

test("waiting for a line ends at its deadline and at the caller's signal", async () => {
  await using folder = await temporaryFolder();
  await using cat = startProcess("cat", [], { env: { HOME: folder.path } });
  await expect(cat.line(/never/, { timeoutMs: 10 })).rejects.toThrow("did not come in time");
  await expect(cat.errorLine(/never/, { signal: AbortSignal.abort() })).rejects.toThrow("aborted");
});

test("a program that does not exist is reported", async () => {
  await using folder = await temporaryFolder();
  const exit = await runProcess("/no/such/program", [], { env: { HOME: folder.path } });
  expect(exit.code).not.toBe(0);
  expect(exit.stderr).toContain("/no/such/program");
});

test("stop ends what the process has started as well, even in another session", async () => {
  await using folder = await temporaryFolder();
  const script = "setsid sh -c 'echo a $$; exec tail -f /dev/null' & tail -f /dev/null & echo b $!; wait";
  const shell = startProcess("sh", ["-c", script], { env: { HOME: folder.path } });
  const pids = [(await shell.line(/^a (\d+)$/))[1], (await shell.line(/^b (\d+)$/))[1]].map(Number);
  expect(pids.filter(isRunning)).toEqual(pids);
  await shell.stop();
  await expect.poll(() => pids.filter(isRunning)).toEqual([]);
});

test("a signal reaches the process itself", async () => {
  await using folder = await temporaryFolder();
  await using shell = startProcess("sh", ["-c", "trap 'exit 7' INT; echo ready; while :; do read word; done"], {
    env: { HOME: folder.path },
  });
  await shell.line(/^ready$/);
  expect((await shell.kill("SIGINT")).code).toBe(7);
});
