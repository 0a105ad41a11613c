/** An SSH server that an ordinary user starts has to hand terminals to a group: `sshnpd check` says whether it can. */
import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../support/ordinary-user.ts";
import { MountNamespace } from "../support/mount-namespace.ts";
import { type RunAs, runCommand, type RunningProcess, runProcess, startCommand } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";

describe.skipIf(!CAN_MAKE_USERS)("where an ordinary user starts the SSH server", () => {
  let user: OrdinaryUser;
  let stack: Stack;
  let namespace: MountNamespace;
  let daemon: RunningProcess;

  beforeAll(async () => {
    user = await ordinaryUser();
    namespace = await MountNamespace.make("mount -t devpts -o newinstance,ptmxmode=666 devpts /dev/pts");
    stack = await Stack.start({ sshd: { user }, withoutDaemon: true });
    await mkdir(join(user.home, ".ssh"), { mode: 0o700 });
    await writeFile(join(user.home, ".ssh/authorized_keys"), `${stack.sshd.identity}\n`, { mode: 0o600 });
    await cp(stack.device.keys, join(user.home, "keys"), { recursive: true });
    await asRoot(`chown -R ${user.name} ${user.home}/.ssh ${user.home}/keys`);
  });
  afterAll(async () => {
    await stack[Symbol.asyncDispose]();
    await namespace[Symbol.asyncDispose]();
    await user.remove();
  });

  describe.each(["sshd", "dropbear"])("%s", (program) => {
    const server = ["--ssh-mode", "inetd", "--ssh-program", `/usr/sbin/${program}`];
    beforeAll(() => start(user, server));
    afterAll(async () => void (await daemon.stop()));

    test.each([
      ["mode=620", false],
      ["gid=7,mode=620", false],
      ["gid=5", true],
    ])("gives out terminals that are mounted with '%s': %s, as check says", async (options, isFine) => {
      await mount(options);
      expect(await hasTerminals()).toBe(isFine);
      expect(await check(user, server)).toMatchObject({ ok: isFine });
    });

    test("does so when what check says is done, and once its user is in the group", async () => {
      await mount("");
      const inGroup: RunAs = {
        setprivArguments: ["--reuid", user.name, "--regid", user.name, "--groups", "tty"],
        installation: user.installation,
      };
      expect(await check(inGroup, server)).toMatchObject({ ok: true });
      const { next } = await check(user, server);
      const [, fix = ""] = /^As root: (mount \S+ \S+ \/dev\/pts), /.exec(next) ?? [];
      await asRoot(fix);
      expect(await hasTerminals()).toBe(true);
      expect(await check(user, server)).toMatchObject({ ok: true });

      await mount("");
      expect(await hasTerminals()).toBe(false);
      expect(await stack.startSsh("echo up").exit()).toMatchObject({ code: 0, stdout: "up\n" });
      await daemon.stop();
      await start(inGroup, server);
      expect(await hasTerminals()).toBe(true);
    });
  });

  test("the built-in one needs no such group", async () => {
    await mount("");
    await start(user, ["--ssh-mode", "builtin"]);
    expect(await hasTerminals()).toBe(true);
    expect(await check(user, ["--ssh-mode", "builtin"])).toBe(undefined);
    await daemon.stop();
  });

  const own = (): string[] => [
    ...["-a", "@device", "-m", "@client", "-d", "mygateway"],
    ...["--keys", join(user.home, "keys")],
  ];

  async function start(as: RunAs, server: readonly string[]): Promise<void> {
    const options = { env: { HOME: user.home }, user: as, namespace };
    daemon = startCommand("sshnpd", [...own(), ...server], options);
    await daemon.line(/^online: /);
    await stack.client.run("sshnp", "trust", "forget", "mygateway.device.np"); // each server has a host key of its own
  }

  async function hasTerminals(): Promise<boolean> {
    const session = stack.startSsh("-tt", "tty");
    session.stdin.write("");
    const { stdout } = await session.exit();
    return stdout.startsWith("/dev/pts/");
  }

  /** What it finds about terminals. */
  async function check(as: RunAs, server: readonly string[]): Promise<{ ok: boolean; next: string }> {
    const options = { env: { HOME: user.home }, user: as, namespace };
    const { stdout } = await runCommand("sshnpd", ["check", ...own(), ...server, "--json"], options);
    const { checks } = JSON.parse(stdout);
    return checks.find(({ about }: { readonly about: string }) => about === "terminals");
  }

  /** With these options and none of before; mount(8) would keep those. */
  async function mount(options: string): Promise<void> {
    const all = ["remount", "ptmxmode=666", options].filter(Boolean).join(",");
    await asRoot(`mount --options-mode ignore -o ${all} /dev/pts`);
  }

  async function asRoot(command: string): Promise<void> {
    const exit = await runProcess("sh", ["-c", command], { env: { HOME: "/nonexistent" }, cwd: "/", namespace });
    expect(exit).toMatchObject({ code: 0, stderr: "" });
  }
});
