import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer, get, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LOOPBACK_ADDRESSES } from "../support/loopback.ts";
import { runProcess } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";
import { closedPort, DeviceServer, type Forward, localConnection, read, readAll, startForward } from "./forwarding.ts";

const MIB = 1024 * 1024;

let stack: Stack;
/** Real servers that only the device is to reach. */
let web: Server;
let webPort: number;
let raw: DeviceServer;
let onlyIpv6: DeviceServer;
let notPermitted: DeviceServer;
let nothing: number;
/** To the web server, the raw one, one that is not permitted, and a port on which nothing listens. */
let forward: Forward;
/** Begins first and is used last. */
let idle: { readonly here: Socket; readonly there: Socket };
beforeAll(async () => {
  web = createServer((request, response) => void response.end(`you asked for ${request.url}`)).listen(0, "127.0.0.1");
  await once(web, "listening");
  webPort = (web.address() as AddressInfo).port;
  raw = await DeviceServer.start();
  onlyIpv6 = await DeviceServer.start((socket) => socket.end(), LOOPBACK_ADDRESSES.at(-1));
  notPermitted = await DeviceServer.start();
  nothing = await closedPort();
  const permitted = [
    `localhost:${webPort}`,
    `localhost:${onlyIpv6.port}`,
    `[::1]:${onlyIpv6.port}`,
    ...[webPort, raw.port, nothing].map((port) => `127.0.0.1:${port}`),
    "no-such-host.invalid:80",
  ];
  // No SSH server answers on the device: nothing here needs one.
  const sshPort = ["--ssh-port", String(nothing)];
  stack = await Stack.start({ daemon: [...permitted.flatMap((place) => ["--permit-open", place]), ...sshPort] });
  const specs = [String(webPort), ...[raw.port, notPermitted.port, nothing].map((port) => `0:127.0.0.1:${port}`)];
  forward = await startForward(stack, [...specs, "--socks", "0"], 5);
  const here = await localConnection(portTo("raw"));
  idle = { here, there: await raw.connection() };
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  for (const server of [raw, onlyIpv6, notPermitted]) await server[Symbol.asyncDispose]();
  web.closeAllConnections();
  web.close();
});

test("100 HTTP requests at once through one session, where 64 streams have room, are all answered", async () => {
  const answers = await Promise.all(Array.from({ length: 100 }, (_, number) => ask(portTo("web"), `/${number}`)));
  expect(answers).toEqual(Array.from({ length: 100 }, (_, number) => `you asked for /${number}`));
});

test.each(LOOPBACK_ADDRESSES)("it listens at %s, and at no address of the network", async (host) => {
  const local = await localConnection(portTo("raw"), host);
  const there = await raw.connection();
  local.end("hello");
  expect(await readAll(there)).toBe("hello");
  there.end();
  const { stdout } = await runProcess("ss", ["-Hltn", `sport = :${portTo("raw")}`], { env: { HOME: "/" } });
  const addresses = stdout
    .trim()
    .split("\n")
    .map((line) => line.split(/\s+/)[3]);
  const own = LOOPBACK_ADDRESSES.map((address) => (address === "::1" ? "[::1]" : address));
  expect(new Set(addresses)).toEqual(new Set(own.map((address) => `${address}:${portTo("raw")}`)));
});

test("200 MB each way at once arrive as they were sent", async () => {
  const local = await localConnection(portTo("raw"));
  const there = await raw.connection();
  const [up, down] = [blocks(), blocks()];
  const [sentUp, sentDown, gotUp, gotDown] = await Promise.all([
    send(local, up),
    send(there, down),
    hashAll(there),
    hashAll(local),
  ]);
  expect([gotUp, gotDown]).toEqual([sentUp, sentDown]);
});

test("a client that has said all still hears the whole answer", async () => {
  const local = await localConnection(portTo("raw"));
  const there = await raw.connection();
  local.end("question");
  expect(await readAll(there)).toBe("question");
  there.end("answer");
  expect(await readAll(local)).toBe("answer");
});

test("a server that has said all still gets everything, however late it reads", async () => {
  const local = await localConnection(portTo("raw"));
  const there = await raw.connection();
  there.end("said");
  expect(await readAll(local)).toBe("said");
  const bytes = randomBytes(3 * MIB);
  local.end(bytes);
  await once(local, "close");
  const hash = createHash("sha256");
  for await (const chunk of there as AsyncIterable<Buffer>) hash.update(chunk);
  expect(hash.digest("hex")).toBe(createHash("sha256").update(bytes).digest("hex"));
});

test("a client that has gone after its last byte has sent it all the same", async () => {
  const local = await localConnection(portTo("raw"));
  const there = await raw.connection();
  const bytes = randomBytes(MIB);
  local.end(bytes, () => local.destroy());
  await once(local, "close");
  const hash = createHash("sha256");
  for await (const chunk of there as AsyncIterable<Buffer>) hash.update(chunk);
  expect(hash.digest("hex")).toBe(createHash("sha256").update(bytes).digest("hex"));
});

test("a server that breaks off is not taken for one that has said all", async () => {
  const local = await localConnection(portTo("raw"));
  const there = await raw.connection();
  there.write("half of i");
  expect(await read(local)).toBe("half of i");
  there.resetAndDestroy();
  await expect(readAll(local)).rejects.toMatchObject({ code: "ECONNRESET" });
});

test("a client that breaks off breaks the server's connection", async () => {
  const local = await localConnection(portTo("raw"));
  const there = await raw.connection();
  local.write("half of i");
  expect(await read(there)).toBe("half of i");
  local.resetAndDestroy();
  await expect(readAll(there)).rejects.toMatchObject({ code: "ECONNRESET" });
});

test("a server that hangs up at once hangs up here", async () => {
  const local = await localConnection(portTo("raw"));
  (await raw.connection()).end();
  expect(await readAll(local)).toBe("");
  local.end();
});

test("what the device does not permit, and what nothing listens at, is told once each, and the rest goes on", async () => {
  for (let round = 0; round < 3; round++) {
    for (const port of [portTo("not permitted"), portTo("nothing")]) {
      await expect(readAll(await localConnection(port))).rejects.toMatchObject({ code: "ECONNRESET" });
    }
  }
  expect(notPermitted.count).toBe(0);
  const place = `127.0.0.1:${notPermitted.port}`;
  const { stderr } = forward.process;
  expect(stderr.split(`mygateway of @device does not let @client reach ${place}.`)).toHaveLength(2);
  expect(stderr).toContain(`on the device: sshnpd --permit-open ${place} ... [E_DEVICE_REFUSED]`);
  expect(stderr.split(`Nothing listens at 127.0.0.1:${nothing}, as mygateway of @device reaches it.`)).toHaveLength(2);
  expect(await ask(portTo("web"), "/still")).toBe("you asked for /still");
});

test("curl goes through SOCKS, by name and by address", async () => {
  for (const place of [`localhost:${webPort}`, `127.0.0.1:${webPort}`]) {
    const exit = await curl("--fail", "--silent", `http://${place}/path`);
    expect(exit).toMatchObject({ code: 0, stdout: "you asked for /path" });
  }
});

test.each([
  ["what is permitted", () => [0, `127.0.0.1:${webPort}`]],
  ...(LOOPBACK_ADDRESSES.includes("::1")
    ? [["a server that only IPv6 reaches", () => [0, `[::1]:${onlyIpv6.port}`]]]
    : []),
  ["localhost, where the server listens at ::1 alone", () => [0, `localhost:${onlyIpv6.port}`]],
  ["what is not permitted", () => [2, `127.0.0.1:${notPermitted.port}`]],
  ["a port on which nothing listens", () => [5, `127.0.0.1:${nothing}`]],
  ["a name that there is not", () => [4, "no-such-host.invalid:80"]],
] as [string, () => [number, string]][])("SOCKS replies to %s", async (_what, expected) => {
  const [reply, place] = expected();
  expect(await socksReplyTo(place)).toBe(reply);
});

test("a connection that is idle for long is not cut, and is no idleness to --timeout", async () => {
  await using kept = await startForward(stack, [`0:127.0.0.1:${raw.port}`, "--timeout", "1s"]);
  const here = await localConnection(kept.port);
  const there = await raw.connection();
  await using unused = await startForward(stack, [`0:127.0.0.1:${raw.port}`, "--timeout", "1s"]);
  expect(await unused.process.exit()).toMatchObject({
    code: 0,
    stderr: expect.stringContaining("No connection for 1 s"),
  });
  for (const pair of [{ here, there }, idle]) {
    pair.here.write("still here");
    expect(await read(pair.there)).toBe("still here");
  }
  here.end();
  there.end();
  expect(await kept.process.exit()).toMatchObject({ code: 0 });
});

test("Ctrl-C ends it with 130, and leaves nothing behind", async () => {
  const path = join(stack.client.home, "left.sock");
  await using ended = await startForward(stack, [`0:127.0.0.1:${raw.port}`, "--unix", `${path}:127.0.0.1:${raw.port}`]);
  const here = await localConnection(ended.port);
  const there = await raw.connection();
  const gone = new Promise((resolve) => there.once("close", resolve).resume());
  const broken = expect(readAll(here)).rejects.toMatchObject({ code: "ECONNRESET" });
  expect(existsSync(path)).toBe(true);
  expect(await ended.process.kill("SIGINT")).toMatchObject({ code: 130 });
  await Promise.all([gone, broken]);
  expect(existsSync(path)).toBe(false);
});

test("what is refused ahead of the session is told with what was asked for, by its own status", async () => {
  const exit = await run(`0:127.0.0.1:${notPermitted.port}`);
  expect(exit).toMatchObject({ code: 77, stdout: "" });
  expect(exit.stderr).toContain(
    `start its sshnpd with more words: -m @client --permit-open 127.0.0.1:${notPermitted.port}`,
  );
  expect(exit.stderr).toContain("[E_DEVICE_REFUSED]");
});

test("of several, the first of which is not permitted, the others are forwarded", async () => {
  const specs = [`0:127.0.0.1:${notPermitted.port}`, `0:127.0.0.1:${webPort}`];
  await using other = await startForward(stack, specs, 2);
  expect(await ask(other.ports[1] ?? 0, "/second")).toBe("you asked for /second");
  expect(other.process.stderr).toContain("[E_DEVICE_REFUSED]");
});

test("a port that is taken is told before anybody is asked", async () => {
  const exit = await run(`${raw.port}:127.0.0.1:${webPort}`);
  expect(exit).toMatchObject({ code: 73, stdout: "" });
  expect(exit.stderr).toContain(`Cannot listen at "127.0.0.1:${raw.port}": something listens there already.`);
  expect(exit.stderr).toContain("[E_LISTEN]");
});

test("--json tells what happens, a line each", async () => {
  await using json = stack.client.start(
    "sshnp",
    "forward",
    "@client",
    "@device",
    "mygateway",
    `0:127.0.0.1:${nothing}`,
    "--json",
  );
  const [line] = await json.line(/^.*"listening","address":"127.0.0.1".*$/);
  const event = JSON.parse(line) as { readonly port: number };
  await expect(readAll(await localConnection(event.port))).rejects.toMatchObject({ code: "ECONNRESET" });
  await json.line(/"refused"/);
  const events = json.stdout
    .trim()
    .split("\n")
    .map((text) => JSON.parse(text) as { event: string; code?: string });
  expect(events.map(({ event: name }) => name)).toEqual([
    ...["up", ...LOOPBACK_ADDRESSES.map(() => "listening")],
    "refused",
  ]);
  expect(events.at(-1)).toMatchObject({ v: 1, service: `tcp:127.0.0.1:${nothing}`, code: "E_CLOSED" });
  expect(json.stderr).toBe("");
  expect(await json.kill("SIGTERM")).toMatchObject({ code: 143 });
});

test.each([
  ["0", ["sh", "-c", "exit 0"]],
  ["7", ["sh", "-c", "exit 7"]],
  ["143", ["sh", "-c", "kill -TERM $$"]],
  ["127", ["no-such-command-here"]],
])("--exec ends with the status of its command: %s", async (status, command) => {
  const exit = await run(`0:127.0.0.1:${webPort}`, "--exec", command.map((word) => `'${word}'`).join(" "));
  expect(exit.code).toBe(Number(status));
});

test("--exec gives its command the port, and standard output for itself", async () => {
  const exit = await run(String(webPort), "--exec", "curl --fail --silent http://127.0.0.1:{port}/exec");
  expect(exit).toMatchObject({ code: 0, stdout: "you asked for /exec" });
});

test("what the command of --exec has sent arrives, though it is gone", async () => {
  const script = `head -c 1000000 /dev/zero | socat -u STDIN TCP:127.0.0.1:{port}`;
  const exit = run(`0:127.0.0.1:${raw.port}`, "--exec", `sh -c '${script}'`);
  const there = await raw.connection();
  expect((await readAll(there)).length).toBe(1_000_000);
  there.end();
  expect(await exit).toMatchObject({ code: 0 });
});

test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s is passed on to the command of --exec", async (signal) => {
  const script = `trap "echo got it; exit 3" ${signal.slice(3)}; echo up; while :; do sleep 0.05; done`;
  await using process = stack.client.start(
    "sshnp",
    ...["forward", "@client", "@device", "mygateway", String(webPort), "--exec", `sh -c '${script}'`],
  );
  await process.line(/^up$/);
  expect(await process.kill(signal)).toMatchObject({ code: 3, stdout: "up\ngot it\n" });
});

test("where anybody may connect is said loudly", async () => {
  await using open = await startForward(stack, [String(webPort), "--bind", "0.0.0.0"]);
  expect(open.process.stderr).toContain("WARNING: 0.0.0.0:0 is open to every machine that reaches this one");
});

type Place = "web" | "raw" | "not permitted" | "nothing" | "socks";
function portTo(place: Place): number {
  return forward.ports[["web", "raw", "not permitted", "nothing", "socks"].indexOf(place)] ?? 0;
}

function run(...words: string[]): ReturnType<Stack["client"]["run"]> {
  return stack.client.run("sshnp", "forward", "@client", "@device", "mygateway", ...words);
}

function curl(...words: string[]): ReturnType<typeof runProcess> {
  const proxy = ["--socks5-hostname", `127.0.0.1:${portTo("socks")}`];
  return runProcess("curl", [...proxy, ...words], stack.client.options);
}

async function ask(port: number, path: string): Promise<string> {
  const [response] = (await once(get({ port, host: "127.0.0.1", path, agent: false }), "response")) as [
    AsyncIterable<Buffer>,
  ];
  let text = "";
  for await (const chunk of response) text += chunk.toString();
  return text;
}

/** What a SOCKS server says to a request for a place, as RFC 1928 writes it. */
async function socksReplyTo(place: string): Promise<number> {
  const [, host = "", port = ""] = /^(.*):(\d+)$/.exec(place) ?? [];
  const socket = await localConnection(portTo("socks"));
  const address = host.startsWith("[")
    ? [4, ...Array<number>(15).fill(0), 1]
    : /^[\d.]+$/.test(host)
      ? [1, ...host.split(".").map(Number)]
      : [3, host.length, ...Buffer.from(host)];
  socket.write(Uint8Array.of(5, 1, 0, 5, 1, 0, ...address, Number(port) >> 8, Number(port) & 255));
  const bytes: number[] = [];
  while (bytes.length < 4) bytes.push(...((await once(socket, "data")) as [Buffer])[0]);
  socket.destroy();
  expect(bytes.slice(0, 3)).toEqual([5, 0, 5]);
  return bytes[3] ?? -1;
}

function blocks(): { readonly random: Buffer; readonly count: number } {
  return { random: randomBytes(4 * MIB), count: 50 };
}

/** Sends them, each marked by its number, and ends; returns the hash of all. */
async function send(socket: Socket, { random, count }: ReturnType<typeof blocks>): Promise<string> {
  const hash = createHash("sha256");
  for (let number = 0; number < count; number++) {
    const block = Buffer.from(random);
    block.writeUInt32BE(number);
    hash.update(block);
    if (!socket.write(block)) await once(socket, "drain");
  }
  socket.end();
  return hash.digest("hex");
}

async function hashAll(socket: Socket): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest("hex");
}
