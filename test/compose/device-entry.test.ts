import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runProcess, startProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

/** Given to bash as words: the repository may lie where only root can read. */
const DEVICE = readFileSync(join(import.meta.dirname, "../../compose/device"), "utf8");
const ORDINARY = 1000; // the daemon is not to run as root

/** Holds the making of the host key up until the test says so, and makes it then. */
const SLOW_KEYGEN = `#!/bin/bash
echo making
read -r
PATH=\${PATH#*:} exec ssh-keygen "$@"
`;

test("asked to stop while the host key is made it ends well and starts nothing; what killed starts left is gone", async () => {
  await using folder = await temporaryFolder();
  const [keys, bin] = [join(folder.path, "keys"), join(folder.path, "bin")];
  for (const path of [keys, join(keys, "state"), join(keys, "state/.ssh_host.aB3dE6"), bin]) mkdirSync(path);
  writeFileSync(join(keys, "state/.ssh_host.aB3dE6/key"), "half of one");
  writeFileSync(join(bin, "ssh-keygen"), SLOW_KEYGEN);
  chmodSync(join(bin, "ssh-keygen"), 0o755);
  for (const path of [folder.path, bin]) chmodSync(path, 0o711);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await runProcess("chown", ["-R", `${ORDINARY}:${ORDINARY}`, keys], { env: { HOME: folder.path } });
  const user = {
    setprivArguments: [`--reuid=${ORDINARY}`, `--regid=${ORDINARY}`, "--clear-groups"],
    installation: "/",
  };
  const path = `${bin}:${process.env["PATH"]}`;
  await using device = startProcess("bash", ["-c", DEVICE, "device", "-a", "@device", "-d", "mygateway"], {
    env: { HOME: folder.path, PATH: path, SSHNP_KEYS: keys },
    ...(isRoot && { user }),
  });
  await device.line(/^making$/);
  process.kill(device.pid, "SIGTERM");
  device.stdin.write("go on\n");
  expect(await device.exit()).toMatchObject({ code: 0, stdout: "making\n", stderr: "" });
  expect(readdirSync(join(keys, "state"))).toEqual(["ssh_host_ed25519_key"]);
  expect(readFileSync(join(keys, "state/ssh_host_ed25519_key"), "utf8")).toMatch(
    /^-----BEGIN OPENSSH PRIVATE KEY-----/,
  );
  expect(readdirSync(keys)).toEqual(["state"]); // no home: the SSH server was not started
});
