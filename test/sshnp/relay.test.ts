import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startCommand } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const HOST = "mygateway.device.np:22";

test.each([
  ["ends", "end"],
  ["breaks off, with words of ssh unread", "destroy"],
] as const)("when the front process %s, its proxy ends too, without a word", async (_, how) => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "front");
  const server = createServer({ pauseOnConnect: true }).listen(path);
  await once(server, "listening");
  try {
    const env = { HOME: folder.path, SSHNP_FRONT: `${HOST} ${path}` };
    const visited = once(server, "connection");
    await using proxy = startCommand("sshnp", ["proxy", HOST], { env });
    const [visitor] = (await visited) as [Socket];
    // More than the pipe and the proxy hold, so that some of it lies unread in our socket: the break is then an error there.
    await new Promise((resolve) => proxy.stdin.write(Buffer.alloc(400_000), resolve));
    if (how === "end") visitor.resume();
    visitor[how]();
    proxy.stdin.end();
    expect(await proxy.exit()).toMatchObject({ code: 0, stdout: "", stderr: "" });
  } finally {
    server.close();
  }
});
