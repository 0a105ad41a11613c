import { once } from "node:events";
import { chmod, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseProxyUrl } from "../../directory/client/proxy-settings.ts";
import { openTunnel } from "../../directory/client/proxy-tunnel.ts";
import { reachedAddress } from "../../directory/client/reached.ts";
import { freePort } from "../support/free-port.ts";
import { PROXY_PASSWORD, PROXY_USER, type Squid, startSquid } from "../support/squid.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { SELF_SIGNED } from "./certificate.ts";

let echo: Listening;
let open: Squid;
let guarded: Squid;
let secure: Squid;
beforeAll(async () => {
  echo = await listen((socket) => socket.pipe(socket));
  [open, guarded, secure] = await Promise.all([
    startSquid({ ports: [echo.port], names: ["np.example.org"] }),
    startSquid({ asksPassword: true }),
    startSquid({ tls: SELF_SIGNED, asksPassword: true }),
  ]);
});
afterAll(async () => {
  for (const one of [echo, open, guarded, secure]) await one?.[Symbol.asyncDispose]();
});

test("a tunnel carries bytes both ways, and says where the target is by its own address", async () => {
  const socket = await tunnel(url(open));
  socket.write("over there");
  const [chunk] = await once(socket, "data");
  expect(String(chunk)).toBe("over there");
  expect(reachedAddress(socket)).toBe("127.0.0.1");
  socket.destroy();
  await expect.poll(() => open.log()).toContain(`CONNECT 127.0.0.1:${echo.port} 200 -`);
});

test("of a target that the proxy has looked up nobody here knows the address", async () => {
  const socket = await tunnel(url(open), "np.example.org");
  expect(reachedAddress(socket)).toBeUndefined();
  socket.destroy();
});

test("a password of the URL is sent, with what cannot stand in one", async () => {
  const socket = await tunnel(url(guarded, `${PROXY_USER}:${encodeURIComponent(PROXY_PASSWORD)}@`));
  socket.destroy();
  await expect.poll(() => guarded.log()).toContain(`CONNECT 127.0.0.1:${echo.port} 200 ${PROXY_USER}`);
});

test("a password is read from its file, which nobody else may read", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "password");
  await writeFile(file, `${PROXY_PASSWORD}\nnot this\n`, { mode: 0o600 });
  const settings = parseProxyUrl("HTTPS_PROXY", url(guarded, `${PROXY_USER}@`), file);
  (await openTunnel(settings, { host: "127.0.0.1", port: echo.port }, patience())).destroy();

  await chmod(file, 0o640);
  const opened = openTunnel(settings, { host: "127.0.0.1", port: echo.port }, patience());
  await expect(opened).rejects.toMatchObject({ code: "E_KEY_PERMISSIONS", next: `chmod 600 ${file}` });
});

test("a proxy that wants a password, or another one, is told as such, without the password", async () => {
  const name = `127.0.0.1:${guarded.port}`;
  await expect(tunnel(url(guarded))).rejects.toMatchObject({
    code: "E_PROXY_AUTH",
    message: `Proxy ${name} asks for a password (407 Basic).`,
    next: `Set HTTPS_PROXY=http://user@${name} and SSHNP_PROXY_PASSWORD_FILE; NTLM/Kerberos: run a local cntlm`,
  });
  const error: unknown = await tunnel(url(guarded, `${PROXY_USER}:hunter2@`)).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ message: `Proxy ${name} does not accept the password (407 Basic).` });
  expect(JSON.stringify([error, String(error)])).not.toMatch(/hunter2|aHVudGVy/);
});

test("a port that the proxy does not permit, and one behind it that nobody listens on, are told apart", async () => {
  await expect(tunnel(url(open), "127.0.0.1", 22)).rejects.toMatchObject({
    message: `the proxy 127.0.0.1:${open.port} does not permit it (status 403)`,
    next: expect.stringContaining("permit CONNECT to 127.0.0.1:22"),
  });
  const closed = await freePort();
  await expect(tunnel(url(guarded, `${PROXY_USER}:${encodeURIComponent(PROXY_PASSWORD)}@`), "127.0.0.1", closed))
    .rejects // a line
    .toMatchObject({ message: `the proxy 127.0.0.1:${guarded.port} does not reach it (status 503)` });
});

test("a proxy that is not there is told as such", async () => {
  const port = await freePort();
  await expect(tunnel(`http://127.0.0.1:${port}`)).rejects.toMatchObject({
    message: `the proxy 127.0.0.1:${port} cannot be reached (ECONNREFUSED)`,
    cause: { name: "NobodyThereError", saidBy: "network" },
  });
});

test("TLS to a proxy works with a certificate that nobody knows, until there is a password to tell", async () => {
  await expect(tunnel(url(secure, "", "https"))).rejects.toMatchObject({ code: "E_PROXY_AUTH" }); // over TLS, then
  const withPassword = url(secure, `${PROXY_USER}:${encodeURIComponent(PROXY_PASSWORD)}@`, "https");
  await expect(tunnel(withPassword)).rejects.toMatchObject({
    message: `TLS with the proxy 127.0.0.1:${secure.port} failed (DEPTH_ZERO_SELF_SIGNED_CERT)`,
    next: expect.stringContaining("NODE_EXTRA_CA_CERTS"),
  });
});

test.each<[string, string, object]>([
  ["is no proxy's", "SSH-2.0-OpenSSH_9.2\r\n", { message: expect.stringContaining("not as an HTTP proxy") }],
  [
    "has no end",
    `HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(2000)}`,
    { message: expect.stringContaining("not as an HTTP") },
  ],
  ["goes on", "HTTP/1.1 200 OK\r\n\r\nSSH-2.0-", { message: expect.stringContaining("says more") }],
  ["is none yet", "HTTP/1.1 100 Continue\r\n\r\n", { message: expect.stringContaining("not as an HTTP proxy") }],
  [
    "wants what is not spoken here",
    'HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM, Digest realm="a, b", qop="auth"\r\n\r\n',
    {
      code: "E_PROXY_AUTH",
      message: expect.stringContaining("asks for a password (407 Negotiate, NTLM, Digest)."),
      next: expect.stringContaining("cntlm"),
    },
  ],
  [
    "would colour a terminal",
    "HTTP/1.1 407 \r\nProxy-Authenticate: \u001b[31mBasic\r\n\r\n",
    { message: expect.stringMatching(/^[ -~]+$/) },
  ],
])("an answer that %s is told", async (_what, answer, error) => {
  await using proxy = await listen((socket) => socket.once("data", () => socket.write(answer)));
  await expect(tunnel(`http://127.0.0.1:${proxy.port}`)).rejects.toMatchObject(error);
  await expect.poll(() => proxy.open()).toBe(0);
});

test("a proxy that says nothing is given up in time, and with the signal", async () => {
  await using proxy = await listen(() => {});
  const settings = parseProxyUrl("HTTPS_PROXY", `http://127.0.0.1:${proxy.port}`);
  const target = { host: "127.0.0.1", port: echo.port };
  const late = openTunnel(settings, target, { signal: new AbortController().signal, limitMs: 50 });
  await expect(late).rejects.toMatchObject({ message: expect.stringContaining("has not answered for 0.05 s") });
  const stop = new AbortController();
  const stopped = openTunnel(settings, target, { signal: stop.signal, limitMs: 20_000 });
  await proxy.asked(2);
  stop.abort(new Error("enough"));
  await expect(stopped).rejects.toThrow("enough");
  await expect.poll(() => proxy.open()).toBe(0);
});

test("a proxy and a target at IPv6 addresses are named with brackets", async () => {
  await using proxy = await listen(
    (socket) => socket.once("data", () => socket.write("HTTP/1.1 403 No\r\n\r\n")),
    "::1",
  );
  const settings = parseProxyUrl("HTTPS_PROXY", `http://[::1]:${proxy.port}`);
  const opened = openTunnel(settings, { host: "2001:db8::1", port: 443 }, patience());
  await expect(opened).rejects.toMatchObject({
    message: `the proxy [::1]:${proxy.port} does not permit it (status 403)`,
    next: expect.stringContaining("CONNECT to [2001:db8::1]:443"),
  });
  expect(proxy.received()).toBe("CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n");
});

function patience(): { readonly signal: AbortSignal; readonly limitMs: number } {
  return { signal: AbortSignal.timeout(20_000), limitMs: 20_000 };
}

function url({ host, port }: Squid, user = "", scheme = "http"): string {
  return `${scheme}://${user}${host}:${port}`;
}

async function tunnel(proxy: string, host = "127.0.0.1", port = echo.port): Promise<Socket> {
  return await openTunnel(parseProxyUrl("HTTPS_PROXY", proxy), { host, port }, patience());
}

interface Listening extends AsyncDisposable {
  readonly port: number;
  readonly open: () => number;
  readonly received: () => string;
  /** Waits until so many connections have sent something. */
  asked(count: number): Promise<void>;
}

async function listen(onSocket: (socket: Socket) => unknown, host = "127.0.0.1"): Promise<Listening> {
  const sockets = new Set<Socket>();
  let received = "";
  let spoken = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    socket.on("data", (chunk: Buffer) => (received += chunk.toString()));
    socket.once("data", () => server.emit("spoken", ++spoken));
    onSocket(socket);
  }).listen(0, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    open: () => sockets.size,
    received: () => received,
    asked: async (count) => {
      for (let missing = count - spoken; missing > 0; missing--) await once(server, "spoken");
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), "close");
    },
  };
}
