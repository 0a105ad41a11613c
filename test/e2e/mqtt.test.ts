import { copyFile, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseMember, parseName } from "../../keys/names.ts";
import { connectBroker } from "../../directory/client/broker.ts";
import { deviceAtBroker, deviceTopic } from "../../protocol/broker-topics.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { freePort } from "../support/free-port.ts";
import { MetricsPort } from "../support/metrics.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { startMqttProxy } from "../support/mqtt-proxy.ts";
import { runProcess } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { createAuthority } from "../support/x509.ts";

const AT_BROKER = "waiting at the MQTT broker";
const AT_DIRECTORY = "the MQTT broker does not serve; waiting at the directory itself";

test("a device at a broker is woken; it is online without a gap when the broker or the directory restarts, by WebSocket meanwhile", async () => {
  await using broker = await startMosquitto();
  await using stack = await Stack.start({ directory: ["--mqtt", broker.url], daemon: ["--mqtt", broker.url] });
  const says = changes(stack);
  await says(AT_BROKER, 1);
  await logsIn(stack);
  expect(await established(stack)).toBe(0);

  // Nothing of the device's is with the directory but a row.
  await stack.directory.kill("SIGKILL");
  await stack.startDirectory();
  await stack.directory.errorLine(/connected to the MQTT broker/);
  await logsIn(stack);

  const stopped = performance.now();
  await broker.stop();
  await says(AT_DIRECTORY, 1);
  tellTime(stopped, "its broker has ended");
  await logsIn(stack);
  await broker.start();
  await says(AT_BROKER, 2);
  await logsIn(stack);
  expect(stack.directory.stderr + stack.daemon.stderr).not.toMatch(/"level":50|"stack"/);
  expect(stack.daemon.stdout).toBe("online: mygateway.device.np\n");
});

test("a broker that is not there at the start keeps nobody away: devices come by WebSocket, readyz says so, and all find it later", async () => {
  const port = await freePort();
  const url = `mqtt://127.0.0.1:${port}`;
  await using stack = await Stack.start({
    directory: ["--mqtt", url, "--metrics", "127.0.0.1:0"],
    daemon: ["--mqtt", url],
  });
  const metrics = await MetricsPort.of(stack.directory);
  await changes(stack)(AT_DIRECTORY, 1);
  await stack.directory.errorLine(/the MQTT broker cannot be used; devices come by WebSocket/);
  await logsIn(stack);
  const without = "the MQTT broker is not connected; devices come by WebSocket";
  await expect
    .poll(() => metrics.ready())
    .toMatchObject({ http: 200, status: "degraded", rendezvous: "ok", broker: without });
  expect((await metrics.scrape()).get("sshnp_directory_broker_connected")).toBe(0);

  await using _broker = await startMosquitto({ port });
  await changes(stack)(AT_BROKER, 1);
  await logsIn(stack);
  await expect.poll(() => metrics.ready()).toMatchObject({ http: 200, status: "ready", broker: "ok" });
  expect((await metrics.scrape()).get("sshnp_directory_broker_connected")).toBe(1);
  expect(stack.daemon.stdout).toBe("online: mygateway.device.np\n");
});

test("mosquitto with X.509 and an access list: a device reads its own topic alone; one that may not comes by WebSocket", async () => {
  await using folder = await temporaryFolder();
  const authority = await createAuthority(folder.path);
  const manual = await readFile(join(import.meta.dirname, "../../docs/mqtt.md"), "utf8");
  const [, acl = ""] = /^```acl\n([^]*?)^```$/m.exec(manual) ?? [];
  const tls = { ca: authority.ca, ...(await authority.issue("broker")) };
  await using broker = await startMosquitto({ tls, acl });
  const own = await authority.issue("sshnp-directory");
  const options = (at: { cert: string; key: string }): string[] =>
    ["--mqtt", broker.url, "--mqtt-ca", authority.ca].concat("--mqtt-cert", at.cert, "--mqtt-key", at.key);
  await using stack = await Stack.start({ directory: options(own), withoutDaemon: true });
  const fingerprint = stack.address.split("#")[1] ?? "";
  const name = deviceAtBroker(suite, fingerprint, { name: parseName("@device"), member: parseMember("mygateway") });

  await stack.startDaemon(...options(await authority.issue(name)));
  await changes(stack)(AT_BROKER, 1);
  await logsIn(stack);
  // Whoever says that he is this device, with a certificate of his own, throws nobody out.
  const pem = async ({ cert, key }: { cert: string; key: string }) => ({
    cert: await readFile(cert, "utf8"),
    key: await readFile(key, "utf8"),
  });
  const certificate = await pem(await authority.issue("thief"));
  const thief = await connectBroker({
    ...{ place: { url: new URL(broker.url), ca: await readFile(authority.ca, "utf8"), certificate }, clientId: name },
    ...{ topics: [deviceTopic(name)], keepaliveSeconds: 60, limitMs: 20_000, signal: new AbortController().signal },
    onMessage: () => expect.unreachable("it is none of the thief's"),
  });
  await logsIn(stack);
  expect(stack.daemon.stderr).not.toContain(AT_DIRECTORY);
  thief.close();
  await stack.daemon.kill("SIGTERM");

  // Another's certificate, and none: mosquitto takes the first one's subscription and gives it nothing.
  for (const words of [options(await authority.issue("somebody")), ["--mqtt", broker.url, "--mqtt-ca", authority.ca]]) {
    await stack.startDaemon(...words);
    await changes(stack)(AT_DIRECTORY, 1);
    await logsIn(stack);
    await stack.daemon.kill("SIGTERM");
  }

  // A broker that nobody vouches for gets no token, and no device.
  await stack.startDaemon("--mqtt", broker.url);
  await stack.daemon.errorLine(/unable to (?:verify|get)|self.signed/);
  await changes(stack)(AT_DIRECTORY, 1);
});

test("a device whose files for the broker do not fit starts, says so, comes by WebSocket, and is at the broker once they do", async () => {
  await using folder = await temporaryFolder();
  const authority = await createAuthority(folder.path);
  const tls = { ca: authority.ca, ...(await authority.issue("broker")) };
  await using broker = await startMosquitto({ tls });
  const own = await authority.issue("sshnp-directory");
  const toBroker = ["--mqtt", broker.url, "--mqtt-ca"];
  const directory = [...toBroker, authority.ca, "--mqtt-cert", own.cert, "--mqtt-key", own.key];
  await using stack = await Stack.start({ directory, withoutDaemon: true });
  const fingerprint = stack.address.split("#")[1] ?? "";
  const name = deviceAtBroker(suite, fingerprint, { name: parseName("@device"), member: parseMember("mygateway") });
  const renewed = await authority.issue(name);

  // The certificate is there, and the key is another's yet; then the key is not there.
  const key = join(folder.path, "mine.key");
  await copyFile(own.key, key);
  for (const wrong of ["--mqtt-key is not the key of --mqtt-cert.", `Cannot read ${key}.`]) {
    await stack.startDaemon(...toBroker, authority.ca, "--mqtt-cert", renewed.cert, "--mqtt-key", key);
    await changes(stack)(AT_DIRECTORY, 1);
    expect(stack.daemon.stderr).toContain(`sshnpd: ${wrong} `);
    expect(stack.daemon.stderr).toContain("sshnpd: Until that is right, this device waits at the directory itself.\n");
    await logsIn(stack);
    await copyFile(renewed.key, key);
    await changes(stack)(AT_BROKER, 1);
    await logsIn(stack);
    await stack.daemon.kill("SIGTERM");
    await rm(key);
  }

  // Authorities that are none, and a directory that is not there either: it is said all the same.
  await stack.directory.kill("SIGKILL");
  const [text, at] = [join(import.meta.dirname, "../../package.json"), ["--mqtt-cert", renewed.cert]];
  const daemon = ["-a", "@device", "-m", "@client", "-d", "mygateway", "--ssh-port", String(stack.sshd.port)];
  await using alone = stack.device.start("sshnpd", ...daemon, ...toBroker, text, ...at, "--mqtt-key", renewed.key);
  await alone.errorLine(/--mqtt-ca \S+ is no certificate in PEM\. Look at it: openssl x509/);
  await alone.errorLine(/Trying again/);
  await alone.kill("SIGTERM");
});

test("a broker that is silent, or forbids the topic, is left for the WebSocket, and found again", async () => {
  await using broker = await startMosquitto();
  await using proxy = await startMqttProxy(broker.port);
  await using stack = await Stack.start({ directory: ["--mqtt", broker.url], withoutDaemon: true });
  for (const mischief of [
    (packet) => (packet.cmd === "suback" ? [{ ...packet, granted: [0x80] }] : [packet]),
    () => [],
  ] satisfies (typeof proxy.mischief)[]) {
    proxy.mischief = mischief;
    const started = performance.now();
    await stack.startDaemon("--mqtt", proxy.url);
    const says = changes(stack);
    await says(AT_DIRECTORY, 1);
    tellTime(started, "its start");
    await logsIn(stack);
    proxy.mischief = (packet) => [packet];
    proxy.cut();
    await says(AT_BROKER, 1);
    await logsIn(stack);
    expect(stack.daemon.stdout).toBe("online: mygateway.device.np\n");
    await stack.daemon.kill("SIGTERM");
  }
});

async function logsIn(stack: Stack): Promise<void> {
  const exit = await stack.ssh("echo", "hello");
  expect(exit, exit.stderr + stack.daemon.stderr).toMatchObject({ code: 0, stdout: "hello\n" });
}

/** Waits until the daemon has said something so many times. */
function changes({ daemon }: Stack) {
  return async (text: string, times: number): Promise<void> => {
    await expect
      .poll(() => daemon.stderr.split(text).length - 1, { timeout: 30_000, message: daemon.stderr })
      .toBeGreaterThanOrEqual(times);
  };
}

/**
 * Prints how long the device took to be at the directory itself. The 5 s of docs/mqtt.md are of its own waits, which
 * test/sshnpd/broker-left.test.ts shows; a busy machine adds to them what it takes for its work.
 */
function tellTime(begun: number, what: string): void {
  process.stderr.write(`the device is at the directory ${(performance.now() - begun).toFixed(0)} ms after ${what}\n`);
}

/** How many connections the device has to the directory. */
async function established(stack: Stack): Promise<number> {
  const port = /:(\d+)#/.exec(stack.address)?.[1] ?? "";
  const words = ["-Htnp", "state", "established", "dport", "=", `:${port}`];
  const { stdout } = await runProcess("ss", words, { env: { HOME: "/nonexistent" }, cwd: "/" });
  return stdout.split("\n").filter((line) => line.includes(`pid=${stack.daemon.pid},`)).length;
}
