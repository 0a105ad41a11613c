import { connect } from "node:net";
import { userInfo } from "node:os";
import { once } from "node:events";
import { expect, test } from "vitest";
import { CAN_MAKE_USERS, ordinaryUser } from "./ordinary-user.ts";
import { type Exit, runProcess, startProcess } from "./processes.ts";
import { type SshServer, startSshServer } from "./sshd.ts";
import { temporaryFolder } from "./temp-folder.ts";

test("the server admits its identity, as whoever runs the tests", async () => {
  await using server = await startSshServer();
  const exit = await ssh(server, userInfo().username, "id -un; exit 5");
  expect(exit).toMatchObject({ code: 5, stdout: `${userInfo().username}\n` });
  expect(server.process.stderr).toContain("Accepted publickey");
});

test("the server presents exactly the host keys it names", async () => {
  await using server = await startSshServer();
  await using folder = await temporaryFolder();
  const { stdout } = await runProcess("ssh-keyscan", ["-p", String(server.port), "127.0.0.1"], {
    env: { HOME: folder.path },
  });
  const keys = stdout.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  expect(keys.map((line) => line.split(" ").slice(1).join(" ")).sort()).toEqual([...server.hostKeys].sort());
});

test("an identity that is not its own is refused, and so is another server in its place", async () => {
  await using server = await startSshServer();
  await using other = await startSshServer();
  const login = userInfo().username;
  const stranger = await ssh({ sshOptions: replaced(server, server.identityFile, other.identityFile) }, login, "true");
  expect(stranger).toMatchObject({ code: 255, stderr: expect.stringContaining("Permission denied") });
  const elsewhere = await ssh(
    { sshOptions: replaced(server, `Port ${server.port}`, `Port ${other.port}`) },
    login,
    "true",
  );
  expect(elsewhere).toMatchObject({ code: 255, stderr: expect.stringContaining("Host key verification failed") });
});

test.skipIf(!CAN_MAKE_USERS)("root's server lets an ordinary user in, by the user's own authorized_keys", async () => {
  await using user = await ordinaryUser();
  await using server = await startSshServer({ authorizedKeysFile: "%h/.ssh/authorized_keys" });
  expect((await ssh(server, user.name, "id -un")).code).toBe(255);
  const script = 'umask 077; mkdir -p .ssh; echo "$1" > .ssh/authorized_keys';
  await runProcess("sh", ["-c", script, "sh", server.identity], { env: { HOME: user.home }, user });
  expect(await ssh(server, user.name, "id -un")).toMatchObject({ code: 0, stdout: `${user.name}\n` });
});

test.skipIf(!CAN_MAKE_USERS)("a server that runs as an ordinary user lets that user in", async () => {
  await using user = await ordinaryUser();
  await using server = await startSshServer({ user });
  expect(await ssh(server, user.name, "id -un; pwd")).toMatchObject({
    code: 0,
    stdout: `${user.name}\n${user.home}\n`,
  });
});

test("stop ends the server and its sessions", async () => {
  const server = await startSshServer();
  await using folder = await temporaryFolder();
  await using session = startProcess(
    "ssh",
    [...server.sshOptions, `${userInfo().username}@device`, "echo in; exec tail -f /dev/null"],
    { env: { HOME: folder.path } },
  );
  await session.line(/^in$/);
  await server.stop();
  expect((await session.exit()).code).toBe(255);
  const [error] = await once(connect(server.port, "127.0.0.1"), "error").catch((reason: unknown) => [reason]);
  expect(error).toMatchObject({ code: "ECONNREFUSED" });
});

function replaced(server: SshServer, old: string, by: string): string[] {
  return server.sshOptions.map((option) => option.replace(old, by));
}

async function ssh(server: Pick<SshServer, "sshOptions">, login: string, command: string): Promise<Exit> {
  await using folder = await temporaryFolder();
  return await runProcess("ssh", [...server.sshOptions, `${login}@device`, command], { env: { HOME: folder.path } });
}
