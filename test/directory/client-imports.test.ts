import { expect, test } from "vitest";
import { startBuilt } from "../support/built-module.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

test("a client of the directory loads no package that a first connect would wait for", async () => {
  await using home = await temporaryFolder();
  const hooks = `export async function resolve(specifier, context, next) {
    const found = await next(specifier, context);
    process._rawDebug(found.url);
    return found;
  }`;
  const script = `
    import { register } from "node:module";
    register("data:text/javascript," + encodeURIComponent(argument));
    await load("directory/client.js");`;
  await using process = startBuilt(home, script, hooks);
  const { code, stderr } = await process.exit();
  expect(code).toBe(0);
  expect(stderr).toContain("dist/directory/client.js");
  const packages = new Set([...stderr.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)\//g)].map(([, name]) => name));
  expect([...packages]).toEqual(["valibot"]);
  expect(stderr).not.toMatch(/^node:(?:https?|tls|net)$/m);
});
