import { mkdir } from "node:fs/promises";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ComposeFolder, ENGINE, type Project } from "../support/containers.ts";
import { freePort } from "../support/free-port.ts";
import { type SshServer, startSshServer } from "../support/sshd.ts";
import { Machine } from "../support/stack.ts";

const MINUTES = 60_000;

/** The services in containers, with their ports on this machine; the gateway's daemon on its network; the client outside. */
describe.skipIf(ENGINE === undefined)("directory.yml and gateway.yml", { timeout: 5 * MINUTES }, () => {
  let folder: ComposeFolder;
  let services: Project;
  let gateway: Project;
  let sshd: SshServer;
  let client: Machine;
  let address: string;
  const names = (...words: string[]): Promise<string> =>
    services.mustExec("directory", "sshnp-directory", ...words, "--data", "/data");

  beforeAll(async () => {
    folder = await ComposeFolder.make();
    const ports = { DIRECTORY_PORT: String(await freePort()), RENDEZVOUS_PORT: String(await freePort()) };
    services = folder.project(["directory.yml"], { PUBLIC: "127.0.0.1", ...ports });
    await services.build();
    await services.must("up", "-d");
    await services.untilHealthy("directory");
    address = await names("address");
    sshd = await startSshServer();
    client = new Machine(join(folder.path, "client"));
    await mkdir(client.home, { mode: 0o700 });
    const secret = await names("name", "add", "@client");
    await client.must("sshnp-keys", "activate", "-a", "@client", "-c", secret, "--directory", address);
    gateway = folder.project(["gateway.yml"], {
      ...{ TO: "@device", DEVICE: "mygateway", FROM: "@client", SSHNP_DIRECTORY: address, SSH_PORT: String(sshd.port) },
      TO_CRAM: await names("name", "add", "@device"),
    });
    await gateway.build();
  }, 20 * MINUTES);
  afterAll(async () => {
    await Promise.all([folder, sshd].map((owned) => owned?.[Symbol.asyncDispose]()));
  }, 15 * MINUTES); // images are removed when nobody builds

  const ssh = (...command: string[]) => {
    const own = ["BatchMode=yes", `IdentityFile=${sshd.identityFile}`, "IdentitiesOnly=yes", "IdentityAgent=none"];
    const options = ["-F", "none", ...own.flatMap((option) => ["-o", option])];
    return client.run("sshnp", "@client", "@device", `${userInfo().username}@mygateway`, ...options, ...command);
  };

  test("directory and rendezvous are one healthy container of an ordinary user", async () => {
    const text = await (await fetch(address.replace(/#.*/, "/healthz"))).text();
    expect(text).toContain("ok");
    const all = await services.mustExec("directory", "bash", "-c", "cat /proc/[0-9]*/status");
    for (const line of all.match(/^Uid:.*$/gm) ?? []) expect(line).toBe("Uid:\t1000\t1000\t1000\t1000");
    for (const line of all.match(/^CapEff:.*$/gm) ?? []) expect(line).toBe("CapEff:\t0000000000000000");
    expect(await names("rendezvous", "ls")).toMatch(/^own +up /m);
  });

  test(
    "the gateway itself is reached, by the SSH server on its own loopback",
    async () => {
      await gateway.must("up", "-d");
      await gateway.untilHealthy("sshnpd");
      expect(await ssh("hostname")).toMatchObject({ code: 0, stdout: `${hostname()}\n` });
      const processes = await gateway.mustExec("sshnpd", "bash", "-c", "cat /proc/[0-9]*/comm");
      expect(processes.split("\n")).not.toContain("sshd");
      expect(await names("names")).toMatch(/^@device +activated .*mygateway \(device, online\)/m);
    },
    5 * MINUTES,
  );

  test(
    "the services come back with the same keys, and the gateway with them",
    async () => {
      await services.must("down");
      await gateway.untilHealthy("sshnpd", { healthy: false });
      await services.must("up", "-d");
      await services.untilHealthy("directory");
      expect(await names("address")).toBe(address);
      await gateway.untilHealthy("sshnpd");
      expect(await ssh("hostname")).toMatchObject({ code: 0, stdout: `${hostname()}\n` });
    },
    5 * MINUTES,
  );

  test("without a rendezvous the directory is not healthy", async () => {
    const kill = "kill -STOP $(cat /data/rendezvous.pid)";
    await services.mustExec("directory", "bash", "-c", kill);
    expect(await services.isHealthy("directory")).toBe(false);
    await services.mustExec("directory", "bash", "-c", kill.replace("STOP", "CONT"));
    await services.untilHealthy("directory");
  });
});
