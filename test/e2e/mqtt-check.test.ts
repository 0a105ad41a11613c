import { join } from "node:path";
import { expect, test } from "vitest";
import { deviceAtBroker } from "../../protocol/broker-topics.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { freePort } from "../support/free-port.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { Stack } from "../support/stack.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { createAuthority } from "../support/x509.ts";

test("sshnpd check goes to the broker as the daemon does, and says what fails there and what to do", async () => {
  await using folder = await temporaryFolder();
  const authority = await createAuthority(folder.path);
  const tls = { ca: authority.ca, ...(await authority.issue("broker")) };
  await using broker = await startMosquitto({ tls });
  const own = await authority.issue("sshnp-directory");
  const directory = ["--mqtt", broker.url, "--mqtt-ca", authority.ca, "--mqtt-cert", own.cert, "--mqtt-key", own.key];
  await using stack = await Stack.start({ directory, withoutDaemon: true });
  const fingerprint = stack.address.split("#")[1] ?? "";
  const name = deviceAtBroker(suite, fingerprint, { name: parseName("@device"), member: parseMember("mygateway") });
  const { cert, key } = await authority.issue(name);
  const good = ["--mqtt", broker.url, "--mqtt-ca", authority.ca, "--mqtt-cert", cert, "--mqtt-key", key];
  const check = async (
    ...words: string[]
  ): Promise<{ status: number | null; ok: boolean; text: string; next: string }> => {
    const device = ["-a", "@device", "-m", "@client", "-d", "mygateway", "--ssh-port", String(stack.sshd.port)];
    const exit = await stack.device.run("sshnpd", "check", "--json", ...device, ...words);
    const { checks } = JSON.parse(exit.stdout) as {
      checks: { about: string; ok: boolean; text: string; next: string }[];
    };
    const found = checks.find(({ about }) => about === "mqtt");
    if (found === undefined) throw new Error(`nothing about the broker: ${exit.stdout}`);
    return { status: exit.code, ...found };
  };
  expect(await check(...good)).toMatchObject({ ok: true, text: expect.stringContaining("takes its subscription") });
  // It came as the daemon does, and was gone before it.
  await broker.process.errorLine(new RegExp(`Client ${name} disconnected`));

  const nobody = await check("--mqtt", `mqtt://127.0.0.1:${await freePort()}`);
  expect(nobody).toMatchObject({ status: 78, ok: false, text: expect.stringContaining("ECONNREFUSED") });
  expect(nobody.next).toContain("Check --mqtt");
  const bare = await check("--mqtt", broker.url, "--mqtt-ca", authority.ca);
  expect(bare).toMatchObject({ status: 78, ok: false, next: expect.stringContaining("--mqtt-cert FILE") });
  const missing = await check("--mqtt", broker.url, "--mqtt-cert", "/nonexistent/a.pem", "--mqtt-key", key);
  expect(missing).toMatchObject({ status: 78, ok: false, text: "Cannot read /nonexistent/a.pem." });
  const text = join(import.meta.dirname, "../../package.json");
  const noAuthority = await check("--mqtt", broker.url, "--mqtt-ca", text);
  expect(noAuthority).toMatchObject({ status: 78, ok: false, text: `--mqtt-ca ${text} is no certificate in PEM.` });
  const another = await check(...good.slice(0, -1), own.key);
  expect(another).toMatchObject({ status: 78, ok: false, text: "--mqtt-key is not the key of --mqtt-cert." });

  // A daemon that runs keeps its connection.
  await stack.startDaemon(...good);
  await stack.daemon.errorLine(/waiting at the MQTT broker/);
  expect(await check(...good)).toMatchObject({ ok: true, text: expect.stringContaining("the daemon that runs") });
  expect(await check("--mqtt", broker.url)).toMatchObject({
    ok: false,
    next: expect.stringContaining("--mqtt-ca FILE"),
  });
  expect(stack.daemon.stderr).not.toContain("the MQTT broker does not serve");
});
