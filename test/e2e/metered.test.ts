import { expect, test } from "vitest";
import { Stack } from "../support/stack.ts";
import { startTcpTap } from "../support/tcp-tap.ts";

test("sshnpd --metered asks for rare heartbeats, is reached, and sshnpd without it does not ask", async () => {
  await using stack = await Stack.start({ withoutDaemon: true });
  const { port } = new URL(stack.address);
  await using tap = await startTcpTap(() => Number(port));
  const asked = (): string[] => tap.recorded.toString("latin1").match(/GET \/v1\/link\S* HTTP/g) ?? [];
  const through = ["--directory", stack.address.replace(`:${port}`, `:${tap.port}`)];
  const metered = await stack.startDaemon(...through, "--metered");
  expect(asked()).toEqual(["GET /v1/link?metered HTTP"]);
  expect(await stack.ssh("true")).toMatchObject({ code: 0 });
  await metered.stop();
  await stack.startDaemon(...through);
  expect(asked()).toEqual(["GET /v1/link?metered HTTP", "GET /v1/link HTTP"]);
});
