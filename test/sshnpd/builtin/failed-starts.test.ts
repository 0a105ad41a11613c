import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import { runSilently } from "../../../sshnpd/builtin/run-silently.ts";
import { openFiles } from "../../support/open-files.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../../support/ordinary-user.ts";
import { runProcess, startProcess } from "../../support/processes.ts";
import { authorize, Harness } from "./harness.ts";
import { RawClient } from "./raw-client.ts";

test("a program of the system that runs as an account has nothing of our environment, which that account could read", async () => {
  process.env["SSHNP_CRAM"] = "secret";
  try {
    await runSilently("sh", ["-c", 'test -z "$SSHNP_CRAM"'], 10_000);
  } finally {
    delete process.env["SSHNP_CRAM"];
  }
});

describe("what cannot be started", { skip: !CAN_MAKE_USERS }, () => {
  let user: OrdinaryUser;
  let server: Harness;
  beforeAll(async () => {
    user = await ordinaryUser();
    server = await Harness.start();
    await authorize(user, await server.publicKey);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await user.remove();
  });

  const targets = (): string[] =>
    openFiles(server.process.pid)
      .map(({ target }) => target)
      .sort();

  test("leaves no descriptor open: 50 commands with a NUL, which are refused", async () => {
    expect((await server.run([`${user.name}@builtin`, "true"])).code).toBe(0);
    await server.process.line(/^attended, 0 left$/);
    const before = targets();
    for (let i = 0; i < 5; i++) {
      await using client = await RawClient.connect(server, user.name); // a refusal leaves the channel open
      for (let j = 0; j < 10; j++) await expect(client.exec(`echo ${j}\0`, j % 2 === 0)).rejects.toThrow();
      expect(await (await client.exec("exit 7")).status).toBe(7);
    }
    await expect.poll(targets).toEqual(before);
  });

  test("leaves no descriptor open: commands at every number of descriptors that are too few", async () => {
    await using client = await RawClient.connect(server, user.name);
    for (const pty of [false, true]) expect(await (await client.exec("true", pty)).status).toBe(0);
    let last = targets();
    await expect
      .poll(() => {
        const isAtRest = String(last) === String(targets());
        last = targets();
        return isAtRest && !last.some((target) => target.endsWith(" (deleted)")); // a pipe of what has just ended
      })
      .toBe(true);
    const before = targets();
    const statuses = new Set<number | undefined>();
    const highest = Math.max(...openFiles(server.process.pid).map(({ number }) => number));
    for (let spare = 1; spare <= 30; spare++) {
      await limitFiles(before.length + spare);
      statuses.add(await (await client.exec("exit 7", spare % 2 === 0)).status);
    }
    await limitFiles(Math.max(1024, highest + 64));
    expect([...statuses]).toEqual(expect.arrayContaining([255, 7])); // too few at first, and then enough
    await expect.poll(targets).toEqual(before);
    expect(await (await client.exec("exit 7")).status).toBe(7);
  });

  async function limitFiles(count: number): Promise<void> {
    const words = ["--pid", String(server.process.pid), `--nofile=${count}:`];
    const { code, stderr } = await runProcess("prlimit", words, { env: { HOME: "/" } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  }
});

test("runPiped closes all that it has opened when Node refuses to start a program", async () => {
  const words = ["--input-type=module", "-e", THROWS, DIST];
  const { code, stdout, stderr } = await runProcess(process.execPath, words, { env: { HOME: "/" }, cwd: "/" });
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "50 thrown\nas before\n", stderr: "" });
});

const DIST = pathToFileURL(join(import.meta.dirname, "../../../dist/")).href;
const THROWS = `
import { readdirSync } from "node:fs";
const { runPiped } = await import(process.argv[1] + "sshnpd/builtin/piped.js");
const account = { uid: process.geteuid(), gid: process.getegid() };
const run = (word) => runPiped(account, ["sh", "-c", word], { PATH: process.env.PATH }, { hasControl: true });
const open = () => readdirSync("/proc/self/fd").length;
const first = await run("true");
await first.exited;
first.hangUp();
first.control.destroy();
const rest = async (until) => {
  for (let i = 0; i < 1_000 && !until(); i++) await new Promise(setImmediate);
};
await rest(() => false);
const before = open();
let thrown = 0;
for (let i = 0; i < 50; i++) await run("echo \\0").catch((error) => (thrown += error.code === "ERR_INVALID_ARG_VALUE"));
await rest(() => open() <= before);
console.log(thrown + " thrown");
console.log(open() <= before ? "as before" : open() - before + " more");
`;

test.skipIf(!CAN_MAKE_USERS)(
  "a signal for a terminal whose program has ended does not reach who has its process number by then",
  async () => {
    const words = ["--pid", "--fork", "--kill-child", "--mount-proc", process.execPath, "--input-type=module", "-e"];
    const script = startProcess("unshare", [...words, REUSE, DIST], { env: { HOME: "/" }, cwd: "/" });
    const { code, stdout, stderr } = await script.exit();
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "reused\nspared\n", stderr: "" });
  },
);

/** In a namespace of process numbers of its own, where the next one can be chosen (proc_sys_kernel(5), ns_last_pid). */
const REUSE = `
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
const { runScript } = await import(process.argv[1] + "sshnpd/builtin/script-terminal.js");
const account = { login: "root", uid: 0, gid: 0, home: "/", shell: "/bin/sh" };
const env = { PATH: process.env.PATH, HOME: "/", SHELL: "/bin/sh" };
const run = async () => {
  const running = await runScript(account, "script", ["/bin/sh", "-c", "echo up; exec sleep 1000"], env);
  await once(running.output, "data");
  return running;
};
const first = await run();
first.output.resume();
first.signal("SIGKILL");
await first.exited;
let heir;
for (let i = 0; i < 100 && heir?.pid !== first.pid; i++) {
  heir?.kill("SIGKILL");
  writeFileSync("/proc/sys/kernel/ns_last_pid", String(first.pid - 1));
  heir = spawn("/bin/sh", ["-c", "setsid sh -c 'echo up; exec sleep 1000'; echo ended"], { stdio: ["ignore", "pipe", "inherit"] });
  await once(heir, "spawn");
}
let printed = "";
heir.stdout.on("data", (text) => (printed += text));
await once(heir.stdout, "data");
console.log(heir.pid === first.pid ? "reused" : "not reused");
first.signal("SIGKILL");
first.resize({ columns: 10, rows: 10 });
// As much again, and then some: by then the one before has had its effect, if it has any.
for (let i = 0; i < 3; i++) {
  const next = await run();
  next.output.resume();
  next.signal("SIGKILL");
  await next.exited;
}
console.log(printed === "up\\n" ? "spared" : printed);
process.exit(0);
`;
