import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { directoryTopic } from "../../protocol/broker-topics.ts";
import { AuditScene } from "../directory/audit-scene.ts";
import { suite } from "../directory/world.ts";
import { commandFile, runProcess } from "../support/processes.ts";

test("what docs/mqtt.md prints for DIRECTORY is the word in the directory's topic", async () => {
  const document = readFileSync(join(import.meta.dirname, "../../docs/mqtt.md"), "utf8");
  const [, script = ""] = /^```sh\n(fingerprint=.*?)^```$/ms.exec(document) ?? [];
  await using scene = await AuditScene.start();
  const command = `sshnp-directory() { '${process.execPath}' '${commandFile("sshnp-directory")}' "$@"; }; ${script}`;
  const printed = await runProcess("bash", ["-euc", command], { env: { HOME: scene.home.path } });
  const { fingerprint } = parseDirectoryAddress(scene.address);
  expect(`sshnp/u/${printed.stdout}`).toBe(`${directoryTopic(suite, fingerprint)}\n`);
});
