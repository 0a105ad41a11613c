import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import type { DirectoryClient } from "../../directory/client.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { parseName } from "../../keys/names.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { encodeActivationStart } from "../../protocol/messages/activation.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { startTcpTap, type TcpTap } from "../support/tcp-tap.ts";
import { SELF_SIGNED } from "./certificate.ts";
import { patience, random, suite, World } from "./world.ts";

const sender = X25519PrivateKey.generate(suite, random);
const question = { type: REQUEST.activationStart, body: encodeActivationStart(parseName("@acme")) };

test.each([undefined, SELF_SIGNED])("a connection that was begun ahead carries the next message alone", async (tls) => {
  await using world = await World.start(tls === undefined ? {} : { tls });
  await using tap = await startTcpTap(() => Number(world.address.url.port));
  const warnings: string[] = [];
  const client = clientThrough(world, tap.port, {
    isSecure: tls !== undefined,
    warn: (text) => warnings.push(text),
  });
  await client.keyList({ signal: patience() });
  const before = tap.connections;
  client.dialAhead({ signal: patience() });
  await connected(tap, before + 1);
  await ask(client);
  expect(client.remoteAddress).toBe("127.0.0.1");
  expect(tap.connections).toBe(before + 1);
  await ask(client);
  expect(tap.connections).toBe(before + 2);
  expect(warnings).toHaveLength(tls === undefined ? 0 : 1);
});

test("one that has gone meanwhile, or never came about, stops nothing", async () => {
  await using world = await World.start();
  await using tap = await startTcpTap(() => Number(world.address.url.port));
  const through = clientThrough(world, tap.port);
  await through.keyList({ signal: patience() });
  through.dialAhead({ signal: patience() });
  await connected(tap, 2);
  tap.cut();
  await expect.poll(() => tap.open).toBe(0);
  await ask(through);
  expect(tap.connections).toBe(3);
});

test("one that nobody needs any more is given up", async () => {
  await using world = await World.start();
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.on("error", () => {}).resume())).listen(
    0,
    "127.0.0.1",
  );
  await once(server, "listening");
  const address = server.address();
  const client = clientThrough(world, typeof address === "object" ? (address?.port ?? 0) : 0);
  const stop = new AbortController();
  client.dialAhead({ signal: stop.signal });
  await once(server, "connection");
  stop.abort();
  await expect.poll(() => sockets[0]?.closed).toBe(true);
  server.close();
});

function clientThrough(
  world: World,
  port: number,
  { isSecure = false, warn }: { readonly isSecure?: boolean; readonly warn?: (text: string) => void } = {},
): DirectoryClient {
  const [, fingerprint = ""] = world.address.text.split("#");
  const scheme = isSecure ? "https" : "http";
  return world.client({ address: parseDirectoryAddress(`${scheme}://127.0.0.1:${port}#${fingerprint}`), warn });
}

async function ask(client: DirectoryClient): Promise<void> {
  expect(await client.request(sender, question, { signal: patience() })).toMatchObject({ type: "activation" });
}

async function connected(tap: TcpTap, connections: number): Promise<void> {
  await expect.poll(() => tap.connections).toBe(connections);
}
