import { expect, test } from "vitest";
import type { RunningProcess } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";
import { startTcpTap } from "../support/tcp-tap.ts";

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
  await stack.client.must("sshnp-keys", "revoke", "@client", await memberOf(stack), "--reason", "lost on a train");
  session.stdin.write("nobody has told the device\n");
  await session.line(/^nobody has told the device$/);
  isAway = false;
  const exit = await session.exit();
  expect(exit.stderr).toMatch(
    /^sshnp: mygateway of @device has withdrawn the access of @client\.\n.*\n +\[E_NOT_AUTHORIZED\]$/m,
  );
  const again = await stack.ssh("true");
  expect(again.stderr).toMatch(
    /^sshnp: \S+ of @client is revoked by its owner\. The owner says: "lost on a train"\.\n.*\n +\[E_REVOKED\]$/m,
  );
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
