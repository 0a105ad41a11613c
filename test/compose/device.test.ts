import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ComposeFolder, ENGINE, type Project } from "../support/containers.ts";
import { freePort } from "../support/free-port.ts";

const MINUTES = 60_000;
const HOSTNAME = ["sshnp", "@client", "@device", "mygateway", "hostname"] as const;

/**
 * Puts services of another project on the network of the directory. They find it without DNS: where the engine's bridge takes
 * its address from one of its ports, a container that goes leaves the others without their DNS server for seconds.
 */
function beside(network: string, directory: string, services: readonly string[]): string {
  const hosts = `{extra_hosts: ["directory:${directory}"]}`;
  return `networks: {default: {external: true, name: ${network}_default}}
services: {${services.map((service) => `${service}: ${hosts}`).join(", ")}}
`;
}

/** A laptop for @client. */
const LAPTOP = `
services:
  laptop:
    build: {context: .., dockerfile: compose/Dockerfile, target: console}
    command: sleep infinity
    volumes: ["laptop:/keys"]
volumes: {laptop: }
`;

describe.skipIf(ENGINE === undefined)("docker-compose.yml", { timeout: 5 * MINUTES }, () => {
  let folder: ComposeFolder;
  let services: Project;
  let laptop: Project;
  let device: Project;
  const env = { TO: "@device", TO_CRAM: "", DEVICE: "mygateway", FROM: "@client", SSHNP_DIRECTORY: "" };
  const keys = (...path: string[]): string => join(folder.path, ".keys", ...path);
  const writeEnv = (settings = env): void =>
    folder.write(
      ".env",
      Object.entries(settings)
        .map(([name, value]) => `${name}=${name === "SSHNP_DIRECTORY" ? `'${value}'` : value}\n`)
        .join(""),
    );

  beforeAll(async () => {
    folder = await ComposeFolder.make();
    const ports = { DIRECTORY_PORT: String(await freePort()), RENDEZVOUS_PORT: String(await freePort()) };
    services = folder.project(["directory.yml"], { PUBLIC: "directory", ...ports });
    await services.build();
    await services.must("up", "-d");
    await services.untilHealthy("directory");
    const at = await services.inspect("directory", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
    folder.write("laptop.yml", LAPTOP);
    folder.write("laptop-beside.yml", beside(services.name, at, ["laptop"]));
    folder.write("device-beside.yml", beside(services.name, at, ["activate", "sshnpd"]));
    laptop = folder.project(["laptop.yml", "laptop-beside.yml"]);
    device = folder.project(["docker-compose.yml", "device-beside.yml"]);
    await laptop.build();
    await device.build();

    const directory = (...words: string[]): Promise<string> =>
      services.mustExec("directory", "sshnp-directory", ...words, "--data", "/data");
    env.SSHNP_DIRECTORY = await directory("address");
    env.TO_CRAM = await directory("name", "add", "@device");
    writeEnv();
    const secret = await directory("name", "add", "@client");
    await laptop.must("up", "-d");
    const activate = ["sshnp-keys", "activate", "-a", "@client", "-c", secret, "--directory", env.SSHNP_DIRECTORY];
    await laptop.mustExec("laptop", ...activate);
    await laptop.mustExec("laptop", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/keys/home/.ssh/id_ed25519");
  }, 20 * MINUTES);
  afterAll(async () => {
    await folder?.[Symbol.asyncDispose]();
  }, 15 * MINUTES); // images are removed when nobody builds

  test(
    "with no .keys folder: one up makes it, activates and is online; a pushed key logs in",
    async () => {
      expect(readdirSync(folder.path)).not.toContain(".keys");
      await device.must("up", "-d");
      await device.untilHealthy("sshnpd");
      expect(await device.inspect("activate", "{{.State.ExitCode}}")).toBe("0");
      expect(await device.must("logs", "--no-color", "activate")).toContain(
        "This machine is device mygateway of @device.",
      );
      const files = readdirSync(keys()).filter((name) => name.endsWith(".npkeys"));
      expect(files.toSorted()).toEqual(["@device.mygateway.npkeys", "@device.owner.npkeys"]);
      expect(statSync(keys())).toMatchObject({ uid: 1000, gid: 1000, mode: 0o040700 });
      for (const file of readdirSync(keys(), { recursive: true, encoding: "utf8" })) {
        const stats = statSync(keys(file));
        expect([stats.uid, stats.mode & 0o077], file).toEqual([1000, 0]);
      }
      expect(await laptop.mustExec("laptop", "sshnp", "-s", ...HOSTNAME.slice(1))).toBe("mygateway");
      expect(await laptop.mustExec("laptop", ...HOSTNAME)).toBe("mygateway");
    },
    5 * MINUTES,
  );

  test("no process of the daemon is root or can become it, nor has a capability; nothing but its folders can be written", async () => {
    await using session = laptop.startExec("laptop", ...HOSTNAME.slice(0, 4), "echo here; cat");
    await session.line(/^here$/);
    const all = await device.mustExec("sshnpd", "bash", "-c", "cat /proc/[0-9]*/status");
    const names = [...all.matchAll(/^Name:\t(.+)$/gm)].map(([, name]) => name);
    expect(names).toEqual(expect.arrayContaining(["tini", "device", "sshd", "node"]));
    for (const line of all.match(/^(?:Uid|Gid):.*$/gm) ?? []) expect(line).toMatch(/^[UG]id:\t1000\t1000\t1000\t1000$/);
    for (const line of all.match(/^Cap(?:Inh|Prm|Eff|Bnd|Amb):.*$/gm) ?? []) expect(line).toMatch(/:\t0{16}$/);
    for (const line of all.match(/^NoNewPrivs:.*$/gm) ?? []) expect(line).toBe("NoNewPrivs:\t1");
    const writable = "touch /x /usr/x /etc/x /opt/sshnp/x /home/x /var/x /tmp/x /keys/x; rm /keys/x";
    const { stderr } = await device.exec("sshnpd", "bash", "-c", writable);
    expect(stderr.match(/Read-only file system/g)).toHaveLength(6);
    session.stdin.end();
    await session.exit();
  });

  test("activate is root for nothing but the folder, with four capabilities", async () => {
    const script = "grep -E '^(Uid|CapEff|CapBnd)' /proc/self/status";
    const before = await device.must(
      "run",
      "--rm",
      "--no-deps",
      "-T",
      "--entrypoint",
      "",
      "activate",
      "bash",
      "-c",
      script,
    );
    expect(before).toContain("Uid:\t0\t0\t0\t0");
    const four = (1 << 0) | (1 << 3) | (1 << 6) | (1 << 7); // CHOWN, FOWNER, SETGID, SETUID of capabilities(7)
    expect(before).toContain(`CapBnd:\t${four.toString(16).padStart(16, "0")}`);
    // A program in place of sshnp-keys tells who it is run as.
    const spy = `printf '#!/bin/bash\\ngrep -E "^(Uid|Gid|Groups|Cap|NoNewPrivs)" /proc/self/status\\n' >/tmp/sshnp-keys
      chmod 755 /tmp/sshnp-keys; PATH=/tmp:$PATH exec activate`;
    const after = await device.must(
      "run",
      "--rm",
      "--no-deps",
      "-T",
      "--entrypoint",
      "",
      "activate",
      "bash",
      "-c",
      spy,
    );
    expect(after).toMatch(/^Uid:\t1000\t1000\t1000\t1000$/m);
    expect(after).toMatch(/^Gid:\t1000\t1000\t1000\t1000$/m);
    expect(after).toMatch(/^Groups:\t ?$/m);
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"])
      expect(after).toMatch(new RegExp(`^${set}:\t0{16}$`, "m"));
    expect(after).toMatch(/^NoNewPrivs:\t1$/m);
  });

  test("a second up leaves the daemon as it is", async () => {
    const before = await device.inspect("sshnpd", "{{.Id}} {{.State.StartedAt}}");
    await device.must("up", "-d");
    expect(await device.inspect("sshnpd", "{{.Id}} {{.State.StartedAt}}")).toBe(before);
    expect(await device.inspect("activate", "{{.State.ExitCode}}")).toBe("0");
    expect(await laptop.mustExec("laptop", ...HOSTNAME)).toBe("mygateway");
  });

  test(
    "after down and up, with the image built anew, it is the same device: no pin changes, the pushed key stays",
    async () => {
      const pins = await laptop.mustExec("laptop", "sshnp", "trust", "ls");
      const hostKey = await device.mustExec("sshnpd", "cat", "/keys/state/ssh_host_ed25519_key");
      await device.removeImages();
      folder.write("activate", `${readFileSync(join(folder.path, "activate"), "utf8")}# built anew\n`);
      await device.build();
      await device.must("up", "-d");
      await device.untilHealthy("sshnpd");
      expect(await device.mustExec("sshnpd", "tail", "-n", "1", "/usr/local/bin/activate")).toBe("# built anew");
      expect(await laptop.mustExec("laptop", ...HOSTNAME)).toBe("mygateway");
      expect(await laptop.mustExec("laptop", "sshnp", "trust", "ls")).toBe(pins);
      expect(await device.mustExec("sshnpd", "cat", "/keys/state/ssh_host_ed25519_key")).toBe(hostKey);
    },
    10 * MINUTES,
  );

  test(
    "with TO_CRAM emptied it comes up as before",
    async () => {
      env.TO_CRAM = "";
      writeEnv();
      await device.must("down");
      await device.must("up", "-d");
      await device.untilHealthy("sshnpd");
      expect(await device.inspect("activate", "{{.State.ExitCode}}")).toBe("0");
      expect(await laptop.mustExec("laptop", ...HOSTNAME)).toBe("mygateway");
    },
    5 * MINUTES,
  );

  test(
    "with another DEVICE the daemon makes that one, and activate stands in nobody's way",
    async () => {
      writeEnv({ ...env, DEVICE: "othergateway" });
      await device.must("up", "-d");
      await device.untilHealthy("sshnpd");
      expect(await device.inspect("activate", "{{.State.ExitCode}}")).toBe("0");
      expect(readdirSync(keys())).toContain("@device.othergateway.npkeys");
      writeEnv();
    },
    5 * MINUTES,
  );

  test(
    "sshnpd alone comes up, without the owner key too",
    async () => {
      await device.must("down");
      rmSync(keys("@device.owner.npkeys"));
      await device.must("up", "-d", "--no-deps", "sshnpd");
      await device.untilHealthy("sshnpd");
      expect(await laptop.mustExec("laptop", ...HOSTNAME)).toBe("mygateway");
      expect(await device.must("ps", "--all", "--quiet", "activate")).toBe("");
    },
    5 * MINUTES,
  );

  test(
    "a mounted authorized_keys admits its keys, whatever umask it was written with",
    async () => {
      const identity = await laptop.mustExec(
        "laptop",
        "bash",
        "-c",
        "ssh-keygen -q -t ed25519 -N '' -f /tmp/other && cat /tmp/other.pub",
      );
      folder.write("authorized_keys", `${identity}\n`);
      folder.write(
        "mounted.yml",
        `services: {sshnpd: {volumes: ["./authorized_keys:/etc/sshnp/authorized_keys:ro"]}}\n`,
      );
      const words = [...HOSTNAME.slice(0, 4), "-i", "/tmp/other", "-o", "IdentitiesOnly=yes", "hostname"];
      expect((await laptop.exec("laptop", ...words)).code).toBe(255);
      await device.must("-f", "mounted.yml", "up", "-d", "--no-deps", "sshnpd");
      await device.untilHealthy("sshnpd");
      expect(await laptop.mustExec("laptop", ...words)).toBe("mygateway");
    },
    5 * MINUTES,
  );

  test("SIGTERM ends it within seconds and with status 0, orphans are reaped", async () => {
    const orphan = "setsid bash -c 'bash -c \"exit 3\" & exec sleep 0.2' </dev/null >/dev/null 2>&1 &";
    await laptop.mustExec("laptop", ...HOSTNAME.slice(0, 4), orphan);
    await expect
      .poll(() => device.mustExec("sshnpd", "bash", "-c", "cat /proc/[0-9]*/stat | grep -c ') Z ' || true"))
      .toBe("0");
    const started = performance.now();
    await device.must("stop", "--timeout", "60", "sshnpd");
    expect(performance.now() - started).toBeLessThan(30_000); // well before the engine would kill it
    expect(await device.inspect("sshnpd", "{{.State.ExitCode}}")).toBe("0");
    expect(await device.must("logs", "--no-color", "sshnpd")).toContain("online: mygateway.device.np");
  });

  test(
    "the daemon's exit status is the container's, and its end or the SSH server's is told and ends all",
    async () => {
      const alone = ["run", "--rm", "--no-deps", "-T", "sshnpd"];
      expect(await device.run(...alone, "-a", "@device", "-d", "other", "-m", "@client")).toMatchObject({ code: 78 });
      const root = await device.run(
        "run",
        "--rm",
        "--no-deps",
        "-T",
        "--user",
        "0:0",
        "sshnpd",
        "-a",
        "@device",
        "-d",
        "mygateway",
      );
      expect(root.code).toBe(77);
      await device.must("up", "-d", "--no-deps", "sshnpd");
      await device.untilHealthy("sshnpd");
      const restarts = (): Promise<string> => device.inspect("sshnpd", "{{.RestartCount}} {{.State.StartedAt}}");
      const before = await restarts();
      // Its status is not asked for: the container may have ended before the engine tells it.
      await device.exec("sshnpd", "bash", "-c", "kill -9 $(grep -l '^Name:.sshd$' /proc/[0-9]*/status | cut -d/ -f3)");
      await expect.poll(restarts, { timeout: MINUTES }).not.toBe(before);
      await device.untilHealthy("sshnpd");
      expect(await device.must("logs", "--no-color", "sshnpd")).toContain("The SSH server has ended (status 137)");
      expect(await laptop.mustExec("laptop", ...HOSTNAME)).toBe("mygateway");
    },
    5 * MINUTES,
  );

  test("without activate and with a folder that Docker made, the daemon says what to do", async () => {
    await device.must("down");
    rmSync(keys(), { recursive: true });
    const exit = await device.run("run", "--rm", "--no-deps", "-T", "sshnpd", "-a", "@device", "-d", "mygateway");
    expect(exit.code).toBe(77);
    expect(`${exit.stdout}${exit.stderr}`).toContain("Run the service activate first");
  });
});
