import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { WebSocketServer } from "ws";
import { certificateAt } from "../../directory/client/certificate-at.ts";
import { exchange } from "../../directory/client/http-exchange.ts";
import { openLinkSocket, reachedAddress } from "../../directory/client/link-socket.ts";
import { chooseProxy, isExcepted } from "../../directory/client/proxy-settings.ts";
import { freePort } from "../support/free-port.ts";
import { type Squid, startSquid } from "../support/squid.ts";
import { SELF_SIGNED } from "./certificate.ts";

const ENV = { HTTP_PROXY: "http://plain:1", HTTPS_PROXY: "https://secure:2", ALL_PROXY: "http://all:3" };

test("the variable of what is reached counts, lower case first, else that for all", () => {
  const hostOf = (env: Readonly<Record<string, string>>, kind: "http" | "https" | "tcp"): string | undefined =>
    chooseProxy(env, { kind, host: "np.example.org", port: 7800 })?.host;
  expect(["http", "https", "tcp"].map((kind) => hostOf(ENV, kind as "http"))).toEqual(["plain", "secure", "secure"]);
  expect(hostOf({ ...ENV, https_proxy: "lower:4" }, "tcp")).toBe("lower");
  expect(hostOf({ ...ENV, HTTPS_PROXY: "" }, "tcp")).toBe("all");
  expect(hostOf({ HTTPS_PROXY: "http://secure:2" }, "http")).toBeUndefined();
  expect(hostOf({ ...ENV, NO_PROXY: "example.org" }, "tcp")).toBeUndefined();
  expect(hostOf({ ...ENV, NO_PROXY: "example.org", no_proxy: "example.net" }, "tcp")).toBe("secure");
});

test.each(["localhost", "db.localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "::ffff:127.0.0.1", "LOCALHOST."])(
  "%s is this machine, which no proxy leads to",
  (host) => expect(chooseProxy(ENV, { kind: "tcp", host, port: 80 })).toBeUndefined(),
);

test.each([
  ["http://proxy.corp:3128", { host: "proxy.corp", port: 3128, isSecure: false, user: undefined }],
  ["proxy.corp", { host: "proxy.corp", port: 80, isSecure: false }],
  ["https://proxy.corp/", { host: "proxy.corp", port: 443, isSecure: true }],
  ["http://al%40ice@[fd00::1]:3128", { host: "fd00::1", port: 3128, user: "al@ice" }],
])("%s is read", (text, settings) => {
  expect(chooseProxy({ HTTPS_PROXY: text }, { kind: "tcp", host: "np.example.org", port: 1 })).toMatchObject(settings);
});

test.each([
  "socks5h://user:hunter2@proxy:1080",
  "ftp://user:hunter2@proxy",
  "http://",
  "http://user:hunter2@",
  "http://user%0d%0ax:hunter2@proxy",
  "http://us%3Aer:hunter2@proxy",
  "http://user:hunter2%zz@proxy",
  "http://user:hunter2@proxy:99999",
  `http://user:hunter2@proxy/${"x".repeat(3000)}`,
])("%j is refused, and not told", (text) => {
  const choose = (): unknown => chooseProxy({ HTTPS_PROXY: text }, { kind: "tcp", host: "np.example.org", port: 1 });
  expect(choose).toThrow(expect.objectContaining({ code: "E_USAGE", message: expect.not.stringContaining("hunter2") }));
});

test.each([
  ["*", "np.example.org", true],
  ["example.org", "np.example.org", true],
  ["example.org", "example.org", true],
  [".example.org", "np.example.org", true],
  ["*.example.org", "a.b.EXAMPLE.org.", true],
  ["ample.org", "np.example.org", false],
  ["example.org:7800", "np.example.org", true],
  ["example.org:443", "np.example.org", false],
  ["other.test, example.org", "np.example.org", true],
  ["other.test example.org", "np.example.org", true],
  ["", "np.example.org", false],
  [",. ,", "np.example.org", false],
  ["10.0.0.0/8", "10.1.2.3", true],
  ["10.0.0.0/8", "11.1.2.3", false],
  ["10.0.0.0/33", "10.0.0.0", false],
  ["10.1.2.3", "10.1.2.3", true],
  ["10.1.2.3:7800", "10.1.2.3", true],
  ["10.1.2.3:80", "10.1.2.3", false],
  [".2.3", "10.1.2.3", false],
  ["fd00::/8", "fd12::1", true],
  ["[fd00::]/8", "[fd12::1]", true],
  ["fd00::1", "fd00:0::1", true],
  ["[fd00::1]:7800", "fd00::1", true],
  ["[fd00::1]:80", "fd00::1", false],
  ["10.0.0.0/8", "fd00::1", false],
])("NO_PROXY=%j and %s: %s", (list, host, isSo) => expect(isExcepted(list, host, 7800)).toBe(isSo));

let squid: Squid;
let server: Server;
let secure: Server;
beforeAll(async () => {
  squid = await startSquid({ names: ["dir.example.org"] });
  [server, secure] = [createServer(), createSecureServer(SELF_SIGNED)];
  for (const one of [server, secure]) {
    new WebSocketServer({ server: one.listen(0, "127.0.0.1"), path: "/v1/link" });
    one.on("request", (_request, response) => response.end("whole"));
    await once(one, "listening");
  }
});
afterAll(async () => {
  for (const one of [server, secure]) one?.close();
  await squid?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY"]) vi.stubEnv(name, `http://127.0.0.1:${squid.port}`);
});
afterEach(() => vi.unstubAllEnvs());

test.each(["http", "https"])(
  "over %s requests and links go through a proxy, whose address is not the directory's",
  async (scheme) => {
    const { port } = (scheme === "http" ? server : secure).address() as AddressInfo;
    const base = new URL(`${scheme}://dir.example.org:${port}`);
    const signal = AbortSignal.timeout(20_000);
    const addresses: unknown[] = [];
    const warnings: string[] = [];
    const onAnswered = (address: unknown): unknown => addresses.push(address);
    const asked = exchange({ base, route: "/v1/keys", signal, onAnswered, warn: (text) => warnings.push(text) });
    const chunks: Uint8Array[] = [];
    for await (const chunk of asked) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe("whole");
    expect(addresses).toEqual([undefined]);
    expect(warnings).toHaveLength(scheme === "https" ? 1 : 0);

    const link = await openLinkSocket(base, signal);
    const [{ socket }] = await once(link, "upgrade");
    expect(reachedAddress(socket)).toBeUndefined();
    link.terminate();
  },
);

test("whose certificate is shown is said, through the proxy as well", async () => {
  const { port } = secure.address() as AddressInfo;
  const signal = AbortSignal.timeout(20_000);
  const until = expect.stringMatching(/ GMT$/) as string;
  const shown = {
    subject: "np.example.org",
    issuer: "np.example.org",
    until,
    distrusted: "DEPTH_ZERO_SELF_SIGNED_CERT",
  };
  expect(await certificateAt(new URL(`https://dir.example.org:${port}`), { signal })).toEqual(shown);
  expect(await certificateAt(new URL(`wss://127.0.0.1:${port}`), { signal })).toEqual(shown);
  expect(await certificateAt(new URL(`http://127.0.0.1:${port}`), { signal })).toBeUndefined();
  const plain = (server.address() as AddressInfo).port;
  const nobody = certificateAt(new URL(`https://127.0.0.1:${plain}`), { signal });
  await expect(nobody).rejects.toMatchObject({ code: "E_DIRECTORY" });
});

test("why a proxy does not lead to the directory is told, with its status", async () => {
  const base = new URL(`http://dir.example.org:${await freePort()}`);
  const signal = AbortSignal.timeout(20_000);
  const error = {
    code: "E_DIRECTORY",
    message: `Cannot reach the directory at ${base.origin}: the proxy 127.0.0.1:${squid.port} does not reach it (status 503).`,
    cause: { name: "NobodyThereError", saidBy: "proxy" },
  };
  await expect(exchange({ base, route: "/v1/keys", signal, warn: () => {} }).next()).rejects.toMatchObject(error);
  await expect(openLinkSocket(base, signal)).rejects.toMatchObject(error);
});
