import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { directoryTopic } from "../../protocol/broker-topics.ts";
import { AuditScene } from "../directory/audit-scene.ts";
import { suite } from "../directory/world.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { commandFile, runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { createAuthority } from "../support/x509.ts";

test("what docs/mqtt.md prints for DIRECTORY is the word in the directory's topic", async () => {
  const document = readFileSync(join(import.meta.dirname, "../../docs/mqtt.md"), "utf8");
  const [, script = ""] = /^```sh\n(fingerprint=.*?)^```$/ms.exec(document) ?? [];
  await using scene = await AuditScene.start();
  const command = `sshnp-directory() { '${process.execPath}' '${commandFile("sshnp-directory")}' "$@"; }; ${script}`;
  const printed = await runProcess("bash", ["-euc", command], { env: { HOME: scene.home.path } });
  const { fingerprint } = parseDirectoryAddress(scene.address);
  expect(`sshnp/u/${printed.stdout}`).toBe(`${directoryTopic(suite, fingerprint)}\n`);
});

test("what mosquitto warns of with the access list of docs/mqtt.md is what stands there", async () => {
  const document = readFileSync(join(import.meta.dirname, "../../docs/mqtt.md"), "utf8");
  const [, acl = ""] = /^```acl\n(.*?)^```$/ms.exec(document) ?? [];
  await using folder = await temporaryFolder();
  const authority = await createAuthority(folder.path);
  const tls = { ca: authority.ca, ...(await authority.issue("broker")) };
  await using broker = await startMosquitto({ tls, acl, isQuiet: true });
  // Who runs it is the test's own affair.
  const warnings = broker.process.stderr.match(/Warning: (?!.*run as root).*\n/g) ?? [];
  expect(warnings).toEqual(document.match(/^Warning: .*\n/gm));
});
