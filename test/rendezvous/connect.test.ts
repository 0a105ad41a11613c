import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { ConnectProgress, reasonOf } from "../../rendezvous/connect-progress.ts";
import { connectFirst } from "../../rendezvous/connect.ts";
import { parseRendezvousAddress } from "../../protocol/rendezvous-address.ts";
import { SELF_SIGNED } from "../directory/certificate.ts";
import { startReverseProxy } from "../support/haproxy.ts";
import { CAN_MAKE_NAMESPACES, NetworkNamespace } from "../support/namespaces.ts";
import { startProcess } from "../support/processes.ts";
import { startSquid } from "../support/squid.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { dial, readBytes, serve } from "./serving.ts";
import { newSession } from "./world.ts";

afterEach(() => vi.unstubAllEnvs());

test("legs of each kind go through a proxy, to names that it alone knows", async () => {
  await using serving = await serve();
  await using https = await startReverseProxy({ directory: 1, rendezvous: serving.port, tls: SELF_SIGNED });
  await using squid = await startSquid({ names: ["rv.example.org"] });
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY"]) vi.stubEnv(name, `http://127.0.0.1:${squid.port}`);
  for (const address of [
    `tcp://rv.example.org:${serving.port}`,
    `ws://rv.example.org:${serving.port}`,
    `wss://rv.example.org:${https.port}`,
  ]) {
    const session = newSession(serving.world, { addresses: [address] });
    const warnings: string[] = [];
    const options = { allowPrivate: false, warn: (text: string) => warnings.push(text) };
    const client = await dial(serving.world, session, "client", options);
    const device = await dial(serving.world, session, "device", options);
    client.socket.write("through the proxy");
    expect((await readBytes(device.socket, 17)).toString()).toBe("through the proxy");
    await Promise.all([client.joined, device.joined]);
    const isSecure = address.startsWith("wss");
    expect(warnings).toHaveLength(isSecure ? 2 : 0);
    if (isSecure) expect(warnings[0]).toContain(`certificate of ${address}, which is of "np.example.org", does not`);
    for (const { socket } of [client, device]) socket.destroy();
  }
});

test("what is private by itself is not asked of a proxy, and this machine is never reached by one", async () => {
  const asked: string[] = [];
  const proxy = createServer((socket) => {
    socket
      .on("error", () => {})
      .on("data", (chunk: Buffer) => {
        asked.push(/^CONNECT (\S+)/.exec(chunk.toString())?.[1] ?? "");
        socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
      });
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY"]) {
    vi.stubEnv(name, `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  }
  const hosts = ["10.0.0.1", "[fd00::1]", "169.254.169.254", "167772161", "intranet", "printer.local", "db.internal"];
  for (const host of [...hosts, "127.0.0.1", "localhost", "[::1]"]) {
    for (const transport of ["tcp", "ws", "wss"]) {
      await expect(attempt(`${transport}://${host}:7801`), host).rejects.toThrow("a private address");
    }
  }
  expect(asked).toEqual([]);
  for (const host of ["rv.example.org", "192.0.2.1", "[2001:db8::1]"]) {
    await expect(attempt(`tcp://${host}:7801`), host).rejects.toThrow("does not permit it (status 403)");
  }
  expect(asked).toEqual(["rv.example.org:7801", "192.0.2.1:7801", "[2001:db8::1]:7801"]);
  vi.stubEnv("NO_PROXY", ".invalid");
  await expect(attempt("tcp://rv.invalid:7801")).rejects.toThrow(/no such host|DNS does not answer/);
  expect(asked).toHaveLength(3);
  proxy.close();
});

test("a proxy that is none ends the dial, and names the variable without its value", async () => {
  vi.stubEnv("ALL_PROXY", "socks5://user:hunter2@127.0.0.1:1080");
  const error: unknown = await attempt("tcp://192.0.2.1:7801").catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: "E_USAGE", message: "ALL_PROXY names a SOCKS proxy, which is not spoken here." });
  expect(JSON.stringify(error)).not.toContain("hunter2");
});

// What the ends do, from the modules as they were built, in a network where np.test has a dead IPv6 address and a living IPv4 one.
const BUILT = new URL("../../dist/", import.meta.url).href;
const CONNECT = `
  import { createServer } from "node:net";
  import { once } from "node:events";
  import { connectFirst } from "${BUILT}rendezvous/connect.js";
  import { connectPersistently } from "${BUILT}directory/client/persistent-connect.js";
  import { dial } from "${BUILT}directory/client/dial.js";
  import { lookup } from "node:dns/promises";
  const server = createServer(() => {}).listen(0, "192.0.2.1");
  await once(server, "listening");
  const { port } = server.address();
  const signal = new AbortController().signal;
  console.log("addresses", (await lookup("np.test", { all: true })).map(({ address }) => address).sort().join(" "));
  const address = { transport: "tcp", host: "np.test", port };
  const { stream } = await connectFirst([{ address }], { allowPrivate: true, signal });
  console.log("leg", stream.remoteAddress);
  const link = await connectPersistently({ host: "np.test", port }, signal);
  console.log("link", link.remoteAddress);
  const request = (await dial(new URL("http://np.test:" + port), signal, () => {})).ref();
  await once(request, "connect");
  console.log("request", request.remoteAddress);
  process.exit();`;

test.skipIf(!CAN_MAKE_NAMESPACES)(
  "of a name with two addresses, one of them dead, the living one is used",
  async () => {
    await using folder = await temporaryFolder();
    await using network = await NetworkNamespace.make();
    await network.must("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
    await network.ip("link", "add", "void0", "type", "veth", "peer", "name", "void1");
    await network.must("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/void0/disable_ipv6");
    for (const name of ["void0", "void1"]) await network.ip("link", "set", name, "up");
    await network.ip("address", "add", "192.0.2.1/24", "dev", "void0");
    await network.ip("-6", "address", "add", "2001:db8::2/64", "dev", "void0", "nodad");
    const hosts = join(folder.path, "hosts");
    await writeFile(hosts, "2001:db8::1 np.test\n192.0.2.1 np.test\n");
    const words = ["--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts];
    const node = [process.execPath, "--input-type=module", "-e", CONNECT];
    const options = { env: { HOME: "/nonexistent" }, cwd: "/", namespace: network };
    const { stdout, stderr } = await startProcess("unshare", [...words, ...node], options).exit();
    const [addresses = "", ...reached] = stdout.split("\n");
    expect([addresses, stderr]).toEqual(["addresses 192.0.2.1 2001:db8::1", ""]);
    expect(reached).toEqual(["leg 192.0.2.1", "link 192.0.2.1", "request 192.0.2.1", ""]);
  },
);

test.each([
  [{ resolved: true }, "timeout after 10 s; DNS ok, TCP blocked"],
  [{}, "timeout after 10 s; TCP blocked"],
  [{ resolved: true, connected: "TCP ok" as const }, "timeout after 10 s; TCP ok, but it does not answer"],
  [{ connected: "through the proxy" as const }, "timeout after 10 s; the proxy connects, but it does not answer"],
])("what a dial waited for in vain is told: %j", (came, told) => {
  const progress = new ConnectProgress();
  if ("resolved" in came) progress.resolved();
  if ("connected" in came) progress.connected(came.connected);
  expect(reasonOf(new DOMException("late", "TimeoutError"), progress)).toBe(told);
});

function attempt(address: string): ReturnType<typeof connectFirst> {
  const places = [{ address: parseRendezvousAddress(address) }];
  return connectFirst(places, { allowPrivate: false, signal: AbortSignal.timeout(20_000) });
}
