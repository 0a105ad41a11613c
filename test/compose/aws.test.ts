/** What terraform/ gives to a machine that is to be a device, as cloud-init runs it, beside a directory. */
import { execFileSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ComposeFolder, ENGINE, type Project } from "../support/containers.ts";
import { freePort } from "../support/free-port.ts";
import { Machine } from "../support/stack.ts";
import { TERRAFORM } from "../terraform/configuration.ts";
import { rendered } from "../terraform/template.ts";

const MINUTES = 60_000;
const MODULE = "modules/device_bootstrap";

/**
 * A machine with cloud-init, and of that what user data of ours ask for. It has no kernel of its own, so its docker is the engine that it
 * runs in, and that one knows the folder of the compose file by another name.
 */
const MACHINE_IMAGE = `FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends cloud-init docker-compose && rm -rf /var/lib/apt/lists/*
RUN printf '#!/bin/sh\\nshift\\nexec docker-compose --file /etc/sshnp/compose.yml --project-directory "$SAME_FOLDER" "$@"\\n' > /usr/local/bin/docker && chmod +x /usr/local/bin/docker
RUN echo '{datasource_list: [NoCloud, None], cloud_init_modules: [write-files], cloud_config_modules: [runcmd], cloud_final_modules: [package-update-upgrade-install, scripts-user]}' > /etc/cloud/cloud.cfg.d/90_here.cfg
`;

describe.skipIf(ENGINE === undefined)("a machine that cloud-init makes a device", { timeout: 10 * MINUTES }, () => {
  let folder: ComposeFolder;
  let services: Project;
  let device: Project;
  let machine: Project;
  let owner: Machine;
  let address: string;
  let own: string;
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

    owner = new Machine(join(folder.path, "owner"));
    await mkdir(owner.home, { mode: 0o700 });
    for (const name of ["@client", "@device"]) {
      const words = ["-a", name, "-c", await names("name", "add", name), "--directory", address];
      await owner.must("sshnp-keys", "activate", ...words);
    }

    device = folder.project(["gateway.yml"], { TO: "", TO_CRAM: "", DEVICE: "", FROM: "", SSHNP_DIRECTORY: "" });
    await device.build();
    const socket = execFileSync(ENGINE?.compose[0] ?? "", ["printenv", "DOCKER_HOST"], { encoding: "utf8" }).trim();
    const same = join(folder.path, "same");
    await mkdir(same);
    folder.write("machine.Dockerfile", MACHINE_IMAGE);
    folder.write(
      "machine.yml",
      `services:
  machine:
    build: {context: ., dockerfile: machine.Dockerfile}
    network_mode: host
    command: sleep infinity
    environment: {DOCKER_HOST: "unix:///run/docker.sock", COMPOSE_PROJECT_NAME: "${device.name}-own", SAME_FOLDER: "${same}"}
    volumes: ["${socket.replace("unix://", "")}:/run/docker.sock", "${same}:/etc/sshnp"]
`,
    );
    machine = folder.project(["machine.yml"]);
    own = `${device.name}-own`;
    await machine.build();
    await machine.must("up", "-d");
  }, 20 * MINUTES);
  afterAll(async () => {
    await machine?.run(
      "exec",
      "-T",
      "machine",
      "sh",
      "-c",
      "cd /etc/sshnp && docker compose down --volumes --timeout 5",
    );
    await folder?.[Symbol.asyncDispose]();
  }, 15 * MINUTES);

  /** Writes a file of the machine's. */
  const put = async (path: string, text: string): Promise<void> => {
    const encoded = Buffer.from(text).toString("base64");
    await machine.mustExec(
      "machine",
      "sh",
      "-c",
      `mkdir -p "$(dirname ${path})" && echo ${encoded} | base64 -d > ${path}`,
    );
  };

  test("is online and lets in whom it is told, once the fleet token is there", async () => {
    const compose = rendered(`${MODULE}/compose.yml.tftpl`, {
      image: `${device.name}_sshnpd`,
      directory: JSON.stringify(address),
      enroll_command: JSON.stringify(["@device", "gateway7", "-d", "--token", "/handed-over/token"]),
      volumes: JSON.stringify(["sshnp-keys:/keys"]),
      command: JSON.stringify(["-a", "@device", "-m", "@client", "-d", "gateway7", "-s"]),
    });
    const userData = rendered(`${MODULE}/cloud-init.yaml.tftpl`, {
      packages: JSON.stringify(["docker-compose"]),
      // As ComposeFolder does, and for its reasons, with health checks.
      compose: Buffer.from(compose.replace(/^( +)healthcheck:\n(?:\1 +.*\n)+/gm, "")).toString("base64"),
      enroll: Buffer.from(await readFile(join(TERRAFORM, MODULE, "enroll"))).toString("base64"),
    });
    const token = await owner.must("sshnp-keys", "delegate", "@device", "--role", "device", "--pattern", "gateway*");
    expect(userData).not.toContain(token);
    await put("/var/lib/cloud/seed/nocloud/user-data", userData);
    await put("/var/lib/cloud/seed/nocloud/meta-data", "instance-id: gateway7\n");
    await put("/etc/sshnp/token", `${token}\n`);

    await machine.mustExec("machine", "cloud-init", "schema", "--config-file", "/var/lib/cloud/seed/nocloud/user-data");
    await machine.mustExec("machine", "cloud-init", "init", "--local");
    await machine.mustExec("machine", "cloud-init", "init");
    await machine.mustExec("machine", "cloud-init", "modules", "--mode=config");
    await machine.mustExec("machine", "cloud-init", "modules", "--mode=final");

    // It is a member, and the token is gone from it.
    expect(await machine.mustExec("machine", "ls", "-A", "/etc/sshnp")).not.toContain("token");
    const there = await owner.must("sshnp-keys", "list", "@device");
    expect(there).toContain("gateway7");

    const key = join(owner.home, "id_ed25519");
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
    await writeFile(
      join(owner.home, "ssh_config"),
      `IdentityFile ${key}\nIdentitiesOnly yes\nIdentityAgent none\nBatchMode yes\n`,
    );
    const words = [
      "-s",
      "--wait",
      "@client",
      "@device",
      "sshnp@gateway7",
      "-F",
      join(owner.home, "ssh_config"),
      "cat",
      "/etc/os-release",
    ];
    expect(await owner.must("sshnp", ...words)).toContain("Debian");
    // Nobody needs to be there for the next start.
    await machine.mustExec("machine", "sshnp-enroll");
    expect(await machine.container("ps", "--format", "{{.Names}}")).toContain(own);
  });
});
