import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { pino } from "pino";
import { expect, test } from "vitest";
import { awaitSshServer } from "../../sshnpd/await-ssh-server.ts";
import { HostKeys } from "../../sshnpd/host-keys.ts";
import { freePort } from "../support/free-port.ts";
import { startSshServer } from "../support/sshd.ts";

const ENDLESS = new AbortController().signal;

test("a server that is there is not spoken of", async () => {
  await using sshd = await startSshServer();
  const lines: Line[] = [];
  await awaitSshServer(optionsFor(sshd.port, lines));
  expect(lines).toEqual([]);
});

test("one that is missing is warned of once, with the next step, and logged when it answers", async () => {
  const port = await freePort();
  const lines: Line[] = [];
  const found = awaitSshServer(optionsFor(port, lines));
  await expect.poll(() => lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({ level: 40, code: "E_NO_SSHD", msg: "no SSH server answers yet" });
  expect(lines[0]?.reason).toContain(`nothing answers on its 127.0.0.1:${port}.`);
  expect(lines[0]?.next).toContain("--ssh-port PORT");
  await using _sshd = await startSshServer({ port });
  await found;
  expect(lines.slice(1)).toMatchObject([{ level: 30, port, msg: "the SSH server answers now" }]);
});

test("one that closes connections is told from none; a signal ends the wait for another one", async () => {
  const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const lines: Line[] = [];
  const stop = new AbortController();
  const options = { ...optionsFor(port, lines), signal: stop.signal };
  const found = awaitSshServer({ ...options, pollMs: 1_000_000 });
  await expect.poll(() => lines).toHaveLength(1);
  expect(lines[0]?.reason).toContain("closes connections, or is silent");
  stop.abort();
  await found;
  await awaitSshServer(options);
  expect(lines).toHaveLength(1);
  server.close();
});

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly reason?: string;
  readonly next?: string;
}

function optionsFor(port: number, lines: Line[]): Parameters<typeof awaitSshServer>[0] {
  const log = pino({ base: null }, { write: (line) => void lines.push(JSON.parse(line)) });
  return { hostKeys: new HostKeys(port, () => 0, ENDLESS), port, log, signal: ENDLESS, pollMs: 10 };
}
