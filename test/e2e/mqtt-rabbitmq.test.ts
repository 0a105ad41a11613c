import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type BrokerConnection, connectBroker } from "../../directory/client/broker.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { deviceAtBroker } from "../../protocol/broker-topics.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { freePort } from "../support/free-port.ts";
import { RABBITMQ_PASSWORD, RABBITMQ_USER, startRabbitMq } from "../support/rabbitmq.ts";
import { Stack } from "../support/stack.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { createAuthority } from "../support/x509.ts";

/** What another device is called at the broker. */
const OTHER = "0123456789abcdef".repeat(2);
const AT_BROKER = "waiting at the MQTT broker";
const AT_DIRECTORY = "the MQTT broker does not serve; waiting at the directory itself";

test("RabbitMQ asks the directory who may come in: a device does by its token, alone to its own topic", async () => {
  await using folder = await temporaryFolder();
  const authority = await createAuthority(folder.path);
  const passwordFile = join(folder.path, "password");
  await writeFile(passwordFile, `${RABBITMQ_PASSWORD}\n`);
  // The two name each other, so the directory's port is chosen ahead.
  const port = await freePort();
  const tls = { ca: authority.ca, ...(await authority.issue("broker")) };
  await using broker = await startRabbitMq({ tls, asks: `http://127.0.0.1:${port}/v1/mqtt/rabbitmq` });
  const place = ["--mqtt", broker.url, "--mqtt-ca", authority.ca];
  const login = ["--mqtt-user", RABBITMQ_USER, "--mqtt-password-file", passwordFile];
  await using stack = await Stack.start({
    directory: [...place, ...login, "--listen", `127.0.0.1:${port}`],
    withoutDaemon: true,
  });
  await stack.startDaemon(...place);
  await daemonSays(stack, AT_BROKER);
  expect(await stack.ssh("echo", "hello")).toMatchObject({ code: 0, stdout: "hello\n" });
  // Whoever would know a name at the broker could not come in by it: nothing but the daemon's own tokens does.
  expect(broker.process.stdout).not.toMatch(/refused|denied|\[error\]/);
});

test("RabbitMQ with X.509: a device comes in by its certificate; a stranger's is refused, and its daemon comes by WebSocket", async () => {
  await using folder = await temporaryFolder();
  const authority = await createAuthority(folder.path);
  await using stack = await Stack.start({ withoutDaemon: true });
  const name = deviceAtBroker(suite, stack.address.split("#")[1] ?? "", {
    name: parseName("@device"),
    member: parseMember("mygateway"),
  });
  const tls = { ca: authority.ca, ...(await authority.issue("broker")) };
  const byCertificate = [
    { name: RABBITMQ_USER, reads: "^sshnp[.][ur][.]", clients: "sshnpdirectory[0-9a-f]{8}" },
    ...[name, OTHER].map((of) => ({ name: of, reads: `^sshnp[.]d[.]${of}$`, clients: of })),
  ];
  await using broker = await startRabbitMq({ tls, byCertificate });
  const options = (at: { cert: string; key: string }): string[] =>
    ["--mqtt", broker.url, "--mqtt-ca", authority.ca].concat("--mqtt-cert", at.cert, "--mqtt-key", at.key);
  await stack.directory.kill("SIGTERM");
  await stack.startDirectory(...options(await authority.issue("sshnp-directory")));
  await stack.startDaemon(...options(await authority.issue(name)));
  await daemonSays(stack, AT_BROKER);
  expect(await stack.ssh("echo", "hello")).toMatchObject({ code: 0, stdout: "hello\n" });

  // RabbitMQ 3.10 lets a certificate come in as any client, and throws the one out that is so called; it can read nothing as that one.
  const stolen = await authority.issue(OTHER);
  const comesIn = async (clientId: string, reads: string): Promise<BrokerConnection> => {
    const [ca, cert, key] = await Promise.all(
      [authority.ca, stolen.cert, stolen.key].map((file) => readFile(file, "utf8")),
    );
    return await connectBroker({
      place: { url: new URL(broker.url), ca, ...(cert && key && { certificate: { cert, key } }) },
      ...{ clientId, topics: [`sshnp/d/${reads}`], onMessage: () => expect.unreachable("nothing is for it") },
      ...{ keepaliveSeconds: 20, limitMs: 20_000, signal: AbortSignal.timeout(60_000) },
    });
  };
  (await comesIn(OTHER, OTHER)).close();
  await expect(comesIn(OTHER, name)).rejects.toThrow(/MQTT/);
  expect(stack.daemon.stderr).not.toContain(AT_DIRECTORY);
  await expect(comesIn(name, OTHER)).rejects.toThrow(/MQTT/);
  await daemonSays(stack, AT_DIRECTORY);
  expect(await stack.ssh("echo", "hello")).toMatchObject({ code: 0, stdout: "hello\n" });

  await stack.daemon.kill("SIGTERM");
  await stack.startDaemon(...options(await authority.issue("somebody")));
  await daemonSays(stack, AT_DIRECTORY);
  expect(await stack.ssh("echo", "hello")).toMatchObject({ code: 0, stdout: "hello\n" });
});

async function daemonSays({ daemon }: Stack, text: string): Promise<void> {
  await expect.poll(() => daemon.stderr, { timeout: 30_000 }).toContain(text);
}
