import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MountNamespace } from "../../support/mount-namespace.ts";
import { descendants, openFiles } from "../../support/open-files.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../../support/ordinary-user.ts";
import { isRunning, startProcess } from "../../support/processes.ts";
import { Terminals } from "../../support/terminals.ts";
import { authorize, Harness } from "./harness.ts";
import { RawClient } from "./raw-client.ts";

describe.each([
  { maker: "script(1)", mounts: undefined },
  { maker: "a holder of node-pty", mounts: 'mount --bind /dev/null "$(command -v script)"' },
])("terminals made by $maker", { skip: !CAN_MAKE_USERS }, ({ maker, mounts }) => {
  let user: OrdinaryUser;
  let other: OrdinaryUser;
  let namespace: MountNamespace | undefined;
  let server: Harness;

  beforeAll(async () => {
    [user, other] = [await ordinaryUser(), await ordinaryUser()];
    namespace = mounts === undefined ? undefined : await MountNamespace.make(mounts);
    server = await Harness.start({ sftpServer: "own", ...(namespace && { namespace }) });
    for (const one of [user, other]) await authorize(one, await server.publicKey);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await namespace?.[Symbol.asyncDispose]();
    for (const one of [user, other]) await one.remove();
  });

  const at = (): string => `${user.name}@builtin`;

  test("nobody but a process of the account has a terminal's master open, neither the server nor what it starts for others", async () => {
    // What whoever runs the tests has left open for all that is started here.
    const bystander = startProcess("sleep", ["1000"], { env: { HOME: "/nonexistent" }, cwd: "/" });
    const inherited = (): number[] => numbers(bystander.pid).filter((number) => number > 2);
    const terminals = [1, 2, 3].map(() => server.start(["-tt", at(), "echo up; exec cat"]));
    await Promise.all(terminals.map((one) => one.line(/^up\r$/)));
    // Attacks: what does somebody else's session find open?
    const look = "exec ls -l /proc/self/fd";
    const asOther = `${other.name}@builtin`;
    const found = await Promise.all([server.run([asOther, look]), server.run(["-tt", asOther, look])]);
    for (const { stdout } of found) {
      const open = [...stdout.matchAll(/ ([0-9]+) -> (\S+)/g)].map(([, number, target]) => ({
        number: Number(number),
        target,
      }));
      expect(open.map(({ number }) => number).sort(byNumber)).toEqual([0, 1, 2, 3, ...inherited()].sort(byNumber));
      expect(open.find(({ number }) => number === 3)?.target).toMatch(/^\/proc\/[0-9]+\/fd$/); // by ls itself
      expect(stdout).not.toContain("ptmx");
    }
    const sftp = startProcess("sftp", [...server.options(), asOther], { env: { HOME: server.folder } });
    const late = server.start(["-tt", asOther, "echo up; exec cat"]);
    sftp.stdin.write("pwd\n");
    await Promise.all([sftp.line(/^Remote working directory/), late.line(/^up\r$/)]);
    const processes = descendants(server.process.pid);
    const masters = processes.flatMap(({ pid, uid }) => openFiles(pid).flatMap((file) => ({ ...file, pid, uid })));
    const holders = masters.filter(({ target }) => target.includes("ptmx"));
    const owners = [user.uid, user.uid, user.uid, other.uid];
    expect(holders.map(({ uid }) => uid).sort(byNumber)).toEqual(owners.sort(byNumber));
    expect(new Set(holders.map(({ pid }) => pid)).size).toBe(4); // each has its own and no other
    expect(JSON.stringify(openFiles(server.process.pid))).not.toContain("ptmx");
    // Of pipes and sockets: to nobody's programs but their own three, and none of the server's.
    for (const { pid, words } of processes.filter((one) => ["cat", "sleep"].includes(one.words[0] ?? ""))) {
      expect({ words, open: numbers(pid) }).toEqual({ words, open: [0, 1, 2, ...inherited()] });
    }
    expect(processes.filter(({ words }) => words[0] === "cat")).toHaveLength(4);
    const kinds = processes.some(({ words }) => words.join(" ").includes("terminal-child"));
    expect(kinds).toBe(mounts !== undefined);
    await Promise.all([...terminals, late, sftp, bystander].map((one) => one.stop()));
  });

  test("belong to the account, with status and death by a signal told", async () => {
    const script = 'stat -c "%U %a" "$SSH_TTY"; stty size; stty -a | grep -ow -- "-\\?echo"; exit 42';
    const { code, stdout } = await server.run(["-tt", at(), script]);
    expect(code).toBe(42);
    const modes = "(?:600|620)"; // as /dev/pts is mounted
    expect(stdout).toMatch(new RegExp(`^${user.name} ${modes}\r\n24 80\r\necho\r\n$`));
    const killed = await server.run(["-v", "-tt", at(), "kill -KILL $$"], ["LogLevel DEBUG"]);
    expect(killed.code).toBe(mounts === undefined ? 128 + 9 : 255);
    if (mounts !== undefined) expect(killed.stderr).toContain("rtype exit-signal");
  });

  test("changes of the window arrive, the last one last, and C-c ends the program", async () => {
    await using terminals = await Terminals.start({ columns: 101, rows: 33 });
    const terminal = await terminals.open("me", { env: { HOME: server.folder } });
    const words = [...server.options(), at()].map((word) => `'${word}'`).join(" ");
    const script = "trap 'echo resized to $(stty size)' WINCH; echo at $(stty size); while :; do sleep 0.1; done";
    await terminal.type(`ssh -t ${words} "${script.replaceAll("$", "\\$")}"`);
    await terminal.shows(/^at 33 101$/m);
    for (const columns of [90, 91, 92, 93, 77]) await terminal.resize(columns, 22);
    await terminal.shows(/^resized to 22 77$/m);
    await terminal.press("C-c");
    await terminal.prompt();
    expect(await terminal.run("echo status $?")).toMatch(/status (?:130|255)/);
  });

  test("more is typed and printed than the kernel holds, and none of it is lost", async () => {
    const text = Array.from({ length: 60_000 }, (_, i) => `line ${i}\n`).join("");
    const ssh = server.start(["-tt", at(), "stty -echo -onlcr; echo ready; exec cat"]);
    await ssh.line(/^ready/);
    ssh.stdin.write(`${text}\u0004`);
    const { stdout, stderr, code } = await ssh.exit();
    expect({ stderr, code }).toMatchObject({ code: 0 });
    expect(hash(stdout.replace(/^ready\r?\n/, ""))).toBe(hash(text));
  });

  test("signals reach the program, and sizes that come while it ends break no other channel", async () => {
    await using client = await RawClient.connect(server, user.name);
    const [beside, first] = [
      await client.exec("exec cat"),
      await client.exec("trap 'echo got it; exit 3' USR1; echo up; while :; do sleep 0.1; done", true),
    ];
    await first.shows("up");
    first.channel.signal("USR1");
    await first.shows("got it");
    expect(await first.status).toBe(3);
    for (let i = 0; i < 6; i++) {
      const short = await client.exec("true", true);
      const timer = setInterval(() => {
        for (let rows = 20; rows < 30; rows++) short.channel.setWindow(rows, 80, 0, 0);
      });
      await short.status;
      clearInterval(timer);
    }
    beside.channel.write("still here\n");
    await beside.shows("still here");
  });

  test("the kill -9 of the server ends what runs in them", async () => {
    const ssh = server.start(["-tt", at(), "echo pid $$; exec sleep 1000"]);
    const [, pid] = await ssh.line(/^pid ([0-9]+)\r$/);
    expect(isRunning(Number(pid))).toBe(true);
    await server.process.kill("SIGKILL");
    await expect.poll(() => isRunning(Number(pid))).toBe(false);
    expect((await ssh.exit()).code, maker).toBe(255);
  });
});

function numbers(pid: number): number[] {
  return openFiles(pid)
    .map(({ number }) => number)
    .sort(byNumber);
}

const byNumber = (a: number, b: number): number => a - b;

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
