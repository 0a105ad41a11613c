import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { dialAhead, type DirectoryClient, hangUp } from "../../directory/client.ts";
import { dial } from "../../directory/client/dial.ts";
import { exchange } from "../../directory/client/http-exchange.ts";
import type { VerifiedKeyList } from "../../protocol/key-list.ts";
import { freePort } from "../support/free-port.ts";
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
  const isSecure = tls !== undefined;
  const keyList = await clientThrough(world, tap.port, { isSecure }).keyList({ signal: patience() });
  const before = tap.connections;
  const client = clientThrough(world, tap.port, {
    isSecure,
    keyList,
    warn: (text) => warnings.push(text),
    isAhead: true,
  });
  await connected(tap, before + 1);
  await ask(client);
  expect(warnings).toHaveLength(isSecure ? 1 : 0);
  expect(client.remoteAddress).toBe("127.0.0.1");
  expect(tap.connections).toBe(before + 1);
  await ask(client);
  expect(tap.connections).toBe(before + 2);
});

test("one that has gone meanwhile stops nothing, and one that never came about says why", async () => {
  await using world = await World.start();
  await using tap = await startTcpTap(() => Number(world.address.url.port));
  const keyList = await clientThrough(world, tap.port).keyList({ signal: patience() });
  const client = clientThrough(world, tap.port, { keyList, isAhead: true });
  await connected(tap, 2);
  tap.cut();
  await expect.poll(() => tap.open).toBe(0);
  await ask(client);
  expect(tap.connections).toBe(3);

  const away = clientThrough(world, await freePort(), { keyList, isAhead: true });
  await expect(away.request(sender, question, { signal: patience() })).rejects.toThrow(/ECONNREFUSED/);
});

test("one that nobody needs any more is given up", async () => {
  await using server = await startMute();
  const stop = new AbortController();
  await dial(new URL(`http://127.0.0.1:${server.port}`), stop.signal, () => {});
  const [socket] = await server.connection;
  stop.abort();
  await expect.poll(() => socket.closed).toBe(true);
});

test("one whose client never comes about is hung up", async () => {
  await using server = await startMute();
  const address = parseDirectoryAddress(`http://127.0.0.1:${server.port}#SHA256:${"A".repeat(43)}`);
  const ahead = dialAhead(address, { signal: patience(), warn: () => {} });
  const [socket] = await server.connection;
  hangUp(ahead);
  await expect.poll(() => socket.closed).toBe(true);
  hangUp(
    dialAhead(parseDirectoryAddress(address.text.replace(/:\d+#/, `:${await freePort()}#`)), {
      signal: patience(),
      warn: () => {},
    }),
  );
  hangUp(undefined);
});

test("one on which nothing comes ends as a silence", async () => {
  await using server = await startMute();
  const base = new URL(`http://127.0.0.1:${server.port}`);
  const connection = dial(base, patience(), () => {});
  const attempt = exchange({ base, route: "/v1/keys", signal: patience(), connection, warn: () => {} }).next();
  attempt.catch(() => {});
  const [socket] = await server.connection;
  await once(socket, "data");
  (await connection).emit("timeout"); // which is when Node's own timer, of half a minute, has run out
  await expect(attempt).rejects.toThrow(/ETIMEDOUT/);
});

test.each(["http", "https"])("the host is named as always: without the port that %s has anyway", async (scheme) => {
  await using server = await startMute();
  const connection = dial(new URL(`http://127.0.0.1:${server.port}`), patience(), () => {});
  const base = new URL(`${scheme}://directory.example`);
  const stop = new AbortController();
  const { signal } = stop;
  const attempt = exchange({ base, route: "/v1/keys", signal, connection, warn: () => {} }).next();
  attempt.catch(() => {});
  const [socket] = await server.connection;
  const [request] = (await once(socket, "data")) as [Buffer];
  expect(request.toString("latin1")).toMatch(/^host: directory\.example\r$/im);
  stop.abort(new Error("enough"));
  await expect(attempt).rejects.toThrow("enough");
});

/** A server that says nothing. */
async function startMute(): Promise<
  AsyncDisposable & { readonly port: number; readonly connection: Promise<[Socket]> }
> {
  const server = createServer((socket) => socket.on("error", () => {}).resume()).listen(0, "127.0.0.1");
  const connection = once(server, "connection") as Promise<[Socket]>;
  await once(server, "listening");
  return {
    ...{ port: (server.address() as AddressInfo).port, connection },
    async [Symbol.asyncDispose]() {
      const [socket] = await connection;
      socket.destroy();
      server.close();
    },
  };
}

function clientThrough(
  world: World,
  port: number,
  { isSecure = false, isAhead = false, warn, keyList }: ClientOptions = {},
): DirectoryClient {
  const [, fingerprint = ""] = world.address.text.split("#");
  const scheme = isSecure ? "https" : "http";
  const address = parseDirectoryAddress(`${scheme}://127.0.0.1:${port}#${fingerprint}`);
  const ahead = isAhead ? dialAhead(address, { signal: patience(), warn: warn ?? (() => {}) }) : undefined;
  return world.client({ address, keyList, warn, ahead });
}

interface ClientOptions {
  readonly isSecure?: boolean;
  readonly isAhead?: boolean;
  readonly keyList?: VerifiedKeyList;
  readonly warn?: (text: string) => void;
}

async function ask(client: DirectoryClient): Promise<void> {
  expect(await client.request(sender, question, { signal: patience() })).toMatchObject({ type: "activation" });
}

async function connected(tap: TcpTap, connections: number): Promise<void> {
  await expect.poll(() => tap.connections).toBe(connections);
}
