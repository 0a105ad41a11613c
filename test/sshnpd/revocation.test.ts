import { expect, test } from "vitest";
import type { RunningProcess } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";
import { startTcpTap } from "../support/tcp-tap.ts";

/** Sessions of whoever is revoked end in that time (ms). */
const ENDS_MS = 5000;

test("a client that its owner revokes is put out of its session at once, with the reason, and let into no other", async () => {
  await using stack = await Stack.start();
  await using session = await sessionOf(stack);
  const member = await memberOf(stack);
  await stack.client.must("sshnp-keys", "revoke", "@client", member, "--reason", "lost on a train");
  const revoked = performance.now();
  const exit = await session.exit();
  expect(performance.now() - revoked).toBeLessThan(ENDS_MS);
  expect(exit.code).toBe(255);
  expect(exit.stderr).toMatch(/^sshnp: mygateway of @device has ended the session: .*\n.*\n +\[E_REVOKED\]$/m);
  const again = await stack.ssh("true");
  expect(again.code).toBe(255);
  expect(again.stderr).toMatch(
    /^sshnp: \S+ of @client is revoked by its owner\. The owner says: "lost on a train"\.\n.*sshnp-keys unrevoke @client \S+\n +\[E_REVOKED\]$/m,
  );
});

test("a client that is revoked while the device's link is away is put out when it is back", async () => {
  await using stack = await Stack.start({ withoutDaemon: true });
  const { host, port } = new URL(stack.address);
  let isAway = false;
  await using tap = await startTcpTap(() => (isAway ? stack.sshd.port : Number(port)));
  const daemon = await stack.startDaemon("--directory", stack.address.replace(host, `127.0.0.1:${tap.port}`));
  await using session = await sessionOf(stack);
  isAway = true;
  tap.cut();
  await daemon.line(/^offline: mygateway\.device\.np$/);
  await stack.client.must("sshnp-keys", "revoke", "@client", await memberOf(stack));
  session.stdin.write("nobody has told the device\n");
  await session.line(/^nobody has told the device$/);
  isAway = false;
  const exit = await session.exit();
  expect(exit.stderr).toMatch(/^ +\[E_REVOKED\]$/m);
});

test("a device that its owner revokes ends all sessions and is offered to nobody any more", async () => {
  await using stack = await Stack.start();
  await using session = await sessionOf(stack);
  await stack.device.must("sshnp-keys", "revoke", "@device", "mygateway", "--reason", "sold");
  const exit = await session.exit();
  expect(exit.stderr).toMatch(/^ +\[E_REVOKED\]$/m);
  await stack.daemon.line(/^offline: mygateway\.device\.np$/);
  const again = await stack.ssh("true");
  expect(again.stderr).toMatch(/^sshnp: mygateway of @device is revoked by its owner\. The owner says: "sold"\.\n/m);
});

/** A session that echoes. */
async function sessionOf(stack: Stack): Promise<RunningProcess> {
  const session = stack.startSsh("cat");
  session.stdin.write("it is up\n");
  await session.line(/^it is up$/);
  return session;
}

/** The member that the client's activation has made. */
async function memberOf(stack: Stack): Promise<string> {
  const list = await stack.client.must("sshnp-keys", "list", "@client");
  const [, member = ""] = /^(\S+-client) /m.exec(list) ?? [];
  return member;
}
