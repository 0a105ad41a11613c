import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SELF_SIGNED } from "../directory/certificate.ts";
import { freePort } from "../support/free-port.ts";
import { type ReverseProxy, startReverseProxy } from "../support/haproxy.ts";
import { INSPECTION, startInterceptor } from "../support/interceptor.ts";
import { type Exit, runCommand, type RunningProcess, startCommand } from "../support/processes.ts";
import { PROXY_PASSWORD, PROXY_USER, type Squid, startSquid } from "../support/squid.ts";
import { Stack } from "../support/stack.ts";

/*
 * Both ends behind a proxy that alone knows what dir.example.org and rv.example.org are, and behind a port that takes TLS alone.
 */

type Variables = Readonly<Record<string, string>>;

let stack: Stack;
let rendezvousPort: number;
let https: ReverseProxy;
/** Of the directory, where it listens itself. */
let directoryPort: number;
let fingerprint: string;
beforeAll(async () => {
  stack = await Stack.start({ withoutDaemon: true, withoutTap: true });
  directoryPort = Number(new URL(stack.address).port);
  fingerprint = new URL(stack.address).hash;
  rendezvousPort = await freePort();
  https = await startReverseProxy({ directory: directoryPort, rendezvous: rendezvousPort, tls: SELF_SIGNED });
  await offerRendezvous(`rv.example.org:${rendezvousPort},wss://rv.example.org:${https.port}`);
});
afterAll(async () => {
  await https?.[Symbol.asyncDispose]();
  await stack?.[Symbol.asyncDispose]();
});

test("through a proxy that asks for a password everything goes by CONNECT, for both ends", async () => {
  await using squid = await proxyWith({ asksPassword: true });
  const file = join(stack.device.home, "proxy-password");
  await writeFile(file, `${PROXY_PASSWORD}\n`, { mode: 0o600 });
  const proxy = `127.0.0.1:${squid.port}`;
  const device = { ...both(`${PROXY_USER}@${proxy}`), SSHNP_PROXY_PASSWORD_FILE: file };
  const client = both(`${PROXY_USER}:${encodeURIComponent(PROXY_PASSWORD)}@${proxy}`);
  const address = `http://dir.example.org:${directoryPort}${fingerprint}`;

  await using daemon = await startDaemon(address, device);
  const { code, stdout, stderr } = await ssh(address, client, "echo", "there");
  expect([code, stdout, stderr]).toEqual([0, "there\n", expect.anything()]);

  const looked = await doctor(address, client, "@device", "mygateway");
  expect([looked.code, looked.stdout]).toEqual([0, expect.not.stringMatching(/^(?:fail|skip)/m)]);
  expect(looked.stdout).toContain("dir.example.org is for the proxy to look up\n");
  expect(looked.stdout).toContain(`; the directory is reached through ${proxy}\n`);
  expect(looked.stdout).toContain(`dir.example.org:${directoryPort} answers through ${proxy} in `);
  expect(looked.stdout).not.toContain(encodeURIComponent(PROXY_PASSWORD));

  const seen = await squid.log();
  const times = (target: string): number =>
    seen.filter((line) => line === `CONNECT ${target} 200 ${PROXY_USER}`).length;
  expect(times(`dir.example.org:${directoryPort}`)).toBeGreaterThanOrEqual(1); // a link is logged when it ends
  expect(times(`rv.example.org:${rendezvousPort}`)).toBeGreaterThanOrEqual(2);
  for (const text of [stderr, daemon.stdout, daemon.stderr]) {
    expect(text).not.toContain(PROXY_PASSWORD);
    expect(text).not.toContain(encodeURIComponent(PROXY_PASSWORD));
  }

  const without = await ssh(address, both(proxy), "true");
  expect(without.code).toBe(255);
  expect(without.stderr).toBe(
    `sshnp: Proxy ${proxy} asks for a password (407 Basic).\n` +
      `       Set HTTP_PROXY=http://user@${proxy} and SSHNP_PROXY_PASSWORD_FILE; NTLM/Kerberos: run a local cntlm\n` +
      "       [E_PROXY_AUTH]\n",
  );
  const shut = await doctor(address, both(proxy));
  expect(shut.code).toBe(77);
  expect(shut.stdout).toMatch(
    /^fail {2}connection +Proxy \S+ asks for a password \(407 Basic\)\.\n.*\n +\[E_PROXY_AUTH\]\n/m,
  );
});

test("through a proxy that permits one port alone, TLS on that port reaches directory and rendezvous", async () => {
  await using squid = await proxyWith({ ports: [https.port] });
  const address = `https://dir.example.org:${https.port}${fingerprint}`;
  const proxy = both(`127.0.0.1:${squid.port}`);
  await using _daemon = await startDaemon(address, proxy);
  const { code, stdout } = await ssh(address, proxy, "echo", "there");
  expect([code, stdout]).toEqual([0, "there\n"]);
  const seen = await squid.log();
  expect(seen).toContain(`CONNECT rv.example.org:${rendezvousPort} 403 -`);
  expect(seen).toContain(`CONNECT rv.example.org:${https.port} 200 -`);

  const looked = await doctor(address, proxy);
  expect([looked.code, looked.stdout]).toEqual([0, expect.not.stringMatching(/^(?:fail|skip)/m)]);
  expect(looked.stdout).toMatch(/^ok {4}certificate +of "np\.example\.org" by .*; it does not verify/m);
  expect(looked.stdout).toMatch(/^ok {4}rendezvous .* does not permit it \(status 403\).*; wss:\S+ answers$/m);
  const forbidden = await doctor(`http://dir.example.org:${directoryPort}${fingerprint}`, proxy);
  expect(forbidden.code).toBe(69);
  expect(forbidden.stdout).toMatch(/^fail {2}connection +.* does not permit it \(status 403\)\.\n.*permit CONNECT to/m);

  const refused = await ssh(`http://dir.example.org:${directoryPort}${fingerprint}`, proxy, "true");
  expect(refused.stderr).toContain(`Cannot reach the directory at http://dir.example.org:${directoryPort}: the proxy`);
  expect(refused.stderr).toContain("does not permit it (status 403)");
  expect(refused.stderr).toContain("[E_DIRECTORY]");
});

test("doctor says that a proxy is not there, and that a variable names none", async () => {
  const address = `http://dir.example.org:${directoryPort}${fingerprint}`;
  const gone = await doctor(address, both(`127.0.0.1:${await freePort()}`));
  expect(gone.code).toBe(69);
  expect(gone.stdout).toMatch(
    /^fail {2}connection +\S+ cannot be connected to: the proxy \S+ cannot be reached \(ECONNREFUSED\)\.$/m,
  );
  const wrong = await doctor(address, { ALL_PROXY: "socks5://127.0.0.1:1080" });
  expect(wrong.code).toBe(2);
  expect(wrong.stdout).toMatch(
    /^fail {2}proxy +ALL_PROXY names a SOCKS proxy, which is not spoken here\.\n.*\n +\[E_USAGE\]\nskip {2}connection/m,
  );
});

test("where one port with TLS is all there is, and inspected, both ends work unconfigured, and what is read is ciphertext", async () => {
  await using inspection = await startInterceptor(https.port, INSPECTION);
  await offerRendezvous(`wss://127.0.0.1:${inspection.port}`);
  const address = `https://127.0.0.1:${inspection.port}${fingerprint}`;
  await using daemon = await startDaemon(address, {}, "-v");
  const { code, stdout, stderr } = await runCommand(
    "sshnp",
    ["-v", "--directory", address, ...stack.words("echo there")],
    {
      env: { HOME: stack.client.home },
    },
  );
  expect([code, stdout]).toEqual([0, "there\n"]);
  for (const place of [`127.0.0.1:${inspection.port}`, `wss://127.0.0.1:${inspection.port}`]) {
    expect(stderr).toContain(
      `The TLS certificate of ${place}, which is of "Example Corp Inspection CA", does not verify`,
    );
  }
  expect(daemon.stderr).toContain("Example Corp Inspection CA");

  const read = inspection.read.toString("latin1");
  for (const clear of ["POST /v1/messages", "GET /v1/link", "GET /v1/leg"]) expect(read).toContain(clear);
  for (const hidden of ["SSH-2.0", "mygateway", "@device", "@client", "echo there", "there\n"]) {
    expect(read).not.toContain(hidden);
  }
});

test("a rendezvous that hangs keeps no session from another one", async () => {
  const data = join(stack.server.home, "second");
  const add = ["rendezvous", "add", "rz2", "--data", join(stack.server.home, "directory")];
  const secret = await stack.server.must("sshnp-directory", ...add);
  await offerRendezvous(`127.0.0.1:${rendezvousPort}`);
  const words = ["run", "--data", data, "--directory", stack.address, "--listen", "127.0.0.1:0", "-c", secret];
  await using second = stack.server.start("sshnp-rendezvous", ...words);
  await second.line(/^tcp:/);
  await using _daemon = await startDaemon(stack.address, {});
  for (const hanging of [stack.rendezvous, second]) {
    process.kill(hanging.pid, "SIGSTOP"); // connections come about all the same, and nothing is read from them
    const { code, stdout } = await ssh(stack.address, {}, "echo", "there");
    expect([code, stdout]).toEqual([0, "there\n"]);
    process.kill(hanging.pid, "SIGCONT");
  }
});

test("over IPv6 alone: directory, rendezvous and what is forwarded to", async () => {
  const web = createServer((socket) => socket.end("over there")).listen(0, "::1");
  await once(web, "listening");
  const target = `[::1]:${(web.address() as AddressInfo).port}`;
  await stack.directory.stop();
  const data = join(stack.server.home, "directory");
  await using directory = stack.server.start("sshnp-directory", "run", "--data", data, "--listen", "[::1]:0");
  const [address] = await directory.line(/^http:\/\/\[::1\]:\d+#SHA256:\S+$/);
  await stack.rendezvous.stop();
  const rendezvous = join(stack.server.home, "rendezvous");
  const words = ["run", "--data", rendezvous, "--directory", address, "--public", `[::1]:${rendezvousPort}`];
  await using middle = stack.server.start("sshnp-rendezvous", ...words, "--listen", `[::]:${rendezvousPort}`);
  await middle.line(/^tcp:\/\/\[::1\]:\d+$/m);
  await using _daemon = await startDaemon(address, {});

  const forwarded = await ssh(address, {}, "-W", target);
  expect([forwarded.code, forwarded.stdout]).toEqual([0, "over there"]);
  const known = await readFile(join(stack.client.keys, "state/known_hosts.mygateway.device.np"), "utf8");
  expect(known).toMatch(/^(?:mygateway\.device\.np \S+ \S+\n)+$/m);
  web.close();
});

function proxyWith(options: { readonly asksPassword?: boolean; readonly ports?: readonly number[] }): Promise<Squid> {
  return startSquid({ names: ["dir.example.org", "rv.example.org"], ...options });
}

function both(proxy: string): Variables {
  return { HTTP_PROXY: `http://${proxy}`, https_proxy: `http://${proxy}` };
}

/** Starts the rendezvous anew, under other addresses. */
async function offerRendezvous(publicAddresses: string): Promise<void> {
  await stack.rendezvous.stop();
  await stack.startRendezvous("--listen", `127.0.0.1:${rendezvousPort}`, "--public", publicAddresses);
}

async function startDaemon(address: string, env: Variables, ...words: string[]): Promise<RunningProcess> {
  const own = ["-a", "@device", "-m", "@client", "-d", "mygateway", "--ssh-port", String(stack.sshd.port)];
  const daemon = startCommand("sshnpd", [...own, "--directory", address, ...words], {
    env: { HOME: stack.device.home, ...env },
  });
  await daemon.line(/^online: mygateway\.device\.np$/);
  return daemon;
}

function doctor(address: string, env: Variables, ...words: string[]): Promise<Exit> {
  return runCommand("sshnp", ["doctor", "--directory", address, ...words], {
    env: { HOME: stack.client.home, ...env },
  });
}

function ssh(address: string, env: Variables, ...words: string[]): Promise<Exit> {
  const all = ["--directory", address, ...stack.words(...words)];
  return runCommand("sshnp", all, { env: { HOME: stack.client.home, ...env } });
}
