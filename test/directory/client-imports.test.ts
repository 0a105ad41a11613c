import { expect, test } from "vitest";
import { startBuilt } from "../support/built-module.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const HOOKS = `export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  process._rawDebug(found.url);
  return found;
}`;
const REGISTER = `
  import { register } from "node:module";
  register("data:text/javascript," + encodeURIComponent(argument));`;

test("a client of the directory loads no package that a first connect would wait for", async () => {
  await using home = await temporaryFolder();
  await using process = startBuilt(home, `${REGISTER} await load("directory/client.js");`, HOOKS);
  const { code, stderr } = await process.exit();
  expect(code).toBe(0);
  expect(stderr).toContain("dist/directory/client.js");
  const packages = new Set([...stderr.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)\//g)].map(([, name]) => name));
  expect([...packages]).toEqual(["valibot"]);
  expect(stderr).not.toMatch(/^node:(?:https?|tls|net)$/m);
});

test("sshnpd and the directory load MQTT's client when they go to a broker, and not before", async () => {
  await using home = await temporaryFolder();
  const script = `${REGISTER}
    await load("sshnpd/daemon.js");
    await load("sshnpd/wakeable-link.js");
    await load("directory/server.js");
    process._rawDebug("to a broker");
    const { connectBroker } = await load("directory/client/broker.js");
    const nowhere = { place: { url: new URL("mqtt://127.0.0.1:9") }, limitMs: 5000, signal: new AbortController().signal };
    await connectBroker(nowhere).catch(() => {});`;
  await using process = startBuilt(home, script, HOOKS);
  const { code, stderr } = await process.exit();
  expect(code, stderr).toBe(0);
  const [before = "", after] = stderr.split("to a broker\n");
  expect(before).toContain("dist/sshnpd/daemon.js");
  expect(before).not.toMatch(/node_modules\/mqtt/);
  expect(after).toMatch(/node_modules\/mqtt\//);
});
