import { expect, test } from "vitest";
import { RATE_BURST } from "../../protocol/limits.ts";
import { CAN_MAKE_NAMESPACES, NetworkNamespace } from "../support/namespaces.ts";
import { startCommand, runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const SERVER = "10.9.0.1";

// One address asks without end, and then sends no more than heads; another asks once.
const FLOOD = `
  import { connect } from "node:net";
  const say = (localAddress, head) => new Promise((resolve) => {
    const socket = connect({ host: "${SERVER}", port: 7800, localAddress });
    let answer = "";
    socket.setEncoding("latin1").on("data", (text) => (answer += text)).on("error", () => {});
    socket.on("data", () => answer.includes("\\r\\n\\r\\n") && socket.destroy()).on("close", () => resolve(answer));
    socket.write(head + "\\r\\nHost: x\\r\\n\\r\\n");
  });
  const many = (head) => Promise.all(Array.from({ length: 40 }, () => say("10.9.0.2", head)));
  const keys = "GET /v1/keys HTTP/1.1\\r\\nConnection: close";
  const answers = [];
  while (!answers.some((answer) => answer.includes(" 429 "))) answers.push(...(await many(keys)));
  const first = (head) => Promise.any(Array.from({ length: 40 }, async () => {
    const answer = await say("10.9.0.2", head);
    if (!answer.includes(" 429 ")) throw new Error(answer);
    return answer.split("\\r\\n")[0];
  }));
  const refused = answers.find((answer) => answer.includes(" 429 "));
  const headAlone = await first("POST /v1/messages HTTP/1.1\\r\\nContent-Length: 60000");
  await many(keys);
  const upgrade = "GET /v1/link HTTP/1.1\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
  const link = await first(upgrade);
  const other = await say("10.9.0.3", keys);
  console.log(JSON.stringify({ served: answers.filter((answer) => answer.includes(" 200 ")).length, refused, headAlone, link, other: other.split("\\r\\n")[0] }));
  process.exit();`;

test.skipIf(!CAN_MAKE_NAMESPACES)(
  "an address that asks without end is told to come later before anything is read of it, and the others are served",
  { timeout: 60_000 },
  async () => {
    await using folder = await temporaryFolder();
    await using namespace = await NetworkNamespace.make();
    for (const address of [SERVER, "10.9.0.2", "10.9.0.3"])
      await namespace.ip("address", "add", `${address}/32`, "dev", "lo");
    const options = { env: { HOME: folder.path }, namespace };
    const words = ["run", "--data", `${folder.path}/np`, "--listen", `${SERVER}:7800`];
    await using directory = startCommand("sshnp-directory", words, options);
    await directory.line(/#SHA256:/);
    const { stdout, stderr } = await runProcess("node", ["--input-type=module", "-e", FLOOD], { ...options, cwd: "/" });
    expect(stderr).toBe("");
    const said = JSON.parse(stdout) as Record<"refused" | "headAlone" | "link" | "other", string> & { served: number };
    expect(said.served).toBeGreaterThanOrEqual(RATE_BURST);
    expect(said.refused.toLowerCase()).toContain("retry-after: ");
    expect(said.headAlone).toBe("HTTP/1.1 429 Too Many Requests");
    expect(said.link).toBe("HTTP/1.1 429 Too Many Requests");
    expect(said.other).toBe("HTTP/1.1 200 OK");
  },
);
