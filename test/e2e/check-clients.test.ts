import { expect, test } from "vitest";
import { Stack } from "../support/stack.ts";

test("sshnpd check says who finds out whether a listed name is known, and so do the daemon and a check beside it", async () => {
  await using stack = await Stack.start({ withoutDaemon: true });
  const words = ["-a", "@device", "-m", "@clinet", "-d", "mygateway", "--ssh-port", String(stack.sshd.port)];
  const help = await stack.device.must("sshnpd", "check", "--help");
  expect(help).toContain("a name of -m is told beside a running sshnpd alone");
  const check = () => stack.device.run("sshnpd", "check", ...words);
  const [, told] = /^ok {2}clients: @clinet (.*)$/m.exec((await check()).stdout) ?? [];
  expect(told).toContain("not looked for here");
  expect(told).toContain("within 5 s, if the directory knows no @clinet");

  await using daemon = stack.device.start("sshnpd", ...words);
  await daemon.errorLine(/^sshnpd: The directory knows no @clinet\. Is it spelt as its owner says\?/m);
  const beside = await check();
  expect(beside).toMatchObject({ code: 78, stdout: expect.stringMatching(/^fix clients: @clinet is not pinned/m) });
});
