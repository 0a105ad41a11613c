/** The units of docs/systemd: what systemd itself says of them, and their commands, run as they stand there. */
import { spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DRAIN_SECONDS } from "../../protocol/limits.ts";
import { MetricsPort } from "../support/metrics.ts";
import { addName, addRendezvous } from "../support/one-time-secrets.ts";
import { CAN_MAKE_USERS } from "../support/ordinary-user.ts";
import { type CommandName, commandFile, type RunningProcess, runCommand, startCommand } from "../support/processes.ts";
import { type SshServer, startSshServer } from "../support/sshd.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

const ROOT = join(import.meta.dirname, "../..");
const FOLDER = join(ROOT, "docs/systemd");
const UNITS = readdirSync(FOLDER);
/** Sessions inherit what this one forbids, so it forbids nothing. */
const OPEN = "sshnpd.service";
const METRICS = "--metrics 127.0.0.1:0";
const HAS_ANALYZE =
  spawnSync("systemd-analyze", ["--help"], { encoding: "utf8" }).stdout?.includes("--offline") === true;

let home: TemporaryFolder;
let sshd: SshServer;
beforeAll(async () => {
  home = await temporaryFolder();
  sshd = await startSshServer();
});
afterAll(async () => {
  await sshd.stop();
  await home.remove();
});

test("every service has a unit, which starts it again and gives it time to end, and the manual names it", () => {
  expect(UNITS).toEqual(
    ["sshnp-directory", "sshnp-rendezvous", "sshnpd-tcp", "sshnpd"].map((name) => `${name}.service`),
  );
  const manual = readFileSync(join(ROOT, "docs/self-hosting.md"), "utf8");
  for (const name of UNITS) {
    const unit = serviceOf(name);
    expect([unit.get("Type"), unit.get("Restart"), unit.get("KillSignal")]).toEqual(["simple", "always", "SIGTERM"]);
    expect(manual).toContain(`(systemd/${name})`);
    const isHardened = unit.get("ProtectSystem") === "strict" && unit.get("NoNewPrivileges") === "yes";
    expect(isHardened).toBe(name !== OPEN);
  }
  const services = ["sshnp-directory.service", "sshnp-rendezvous.service"];
  for (const unit of services.map(serviceOf)) {
    expect(Number(unit.get("TimeoutStopSec"))).toBeGreaterThan(DRAIN_SECONDS);
    expect(Number(unit.get("LimitNOFILE"))).toBeGreaterThan(100_000);
  }
});

test.skipIf(!HAS_ANALYZE)("systemd finds nothing against the units", async () => {
  for (const name of UNITS) {
    const file = join(home.path, name);
    // Where they are installed the names of our commands lead to them.
    const text = readFileSync(join(FOLDER, name), "utf8");
    await writeFile(
      file,
      text.replace(/^(ExecStart=)([a-z-]+)/m, (_, key: string, command: CommandName) => key + commandFile(command)),
    );
    expect(analyze("verify", "--man=no", file)).toEqual({ status: 0, said: "" });
    const exposed = analyze("security", "--offline=yes", "--threshold=25", "--no-pager", file);
    expect({ name, ...exposed }).toMatchObject({ name, status: name === OPEN ? 1 : 0 });
  }
});

test("their commands serve with the options of their environment, and end with 0 on the signal of the unit", async () => {
  const data = join(home.path, "sshnp-directory");
  await using directory = await startUnit("sshnp-directory.service", { OPTIONS: `--listen 127.0.0.1:0 ${METRICS}` });
  const [address = ""] = await directory.line(/^http.*#SHA256:.*$/);
  await using rendezvous = await startUnit("sshnp-rendezvous.service", {
    SSHNP_DIRECTORY: address,
    SSHNP_CRAM: await addRendezvous(data, "rz1"),
    OPTIONS: `--listen 127.0.0.1:0 ${METRICS}`,
  });
  await rendezvous.line(/:\d+$/);
  const place = ["--keys", join(home.path, "sshnpd"), "--directory", address];
  const words = ["activate", "-a", "@device", "-c", await addName(data, "@device"), "-d", "mygateway", ...place];
  expect(await runCommand("sshnp-keys", words, { env: { HOME: home.path } })).toMatchObject({ code: 0 });
  for (const name of ["sshnpd.service", "sshnpd-tcp.service"]) {
    const OPTIONS = `-a @device -m @client -d mygateway --ssh-port ${sshd.port} ${METRICS}`;
    await using daemon = await startUnit(name, { OPTIONS });
    await daemon.line(/^online: mygateway\.device\.np$/);
    await isReady(daemon);
    await endsBySignal(name, daemon);
  }
  await isReady(rendezvous);
  await isReady(directory);
  await endsBySignal("sshnp-rendezvous.service", rendezvous);
  await endsBySignal("sshnp-directory.service", directory);
});

/** The lines of a unit's [Service], by their keys. */
function serviceOf(name: string): ReadonlyMap<string, string> {
  const [, section = ""] = /^\[Service\]\n([^]*?)^\[/m.exec(readFileSync(join(FOLDER, name), "utf8")) ?? [];
  const lines = section.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}

function analyze(...words: string[]): { readonly status: number | null; readonly said: string } {
  const { status, stderr } = spawnSync("systemd-analyze", words, { encoding: "utf8", cwd: home.path });
  return { status, said: stderr };
}

/** As systemd does: its folder of state, its command with the words of OPTIONS, and no more rights than it gives. */
async function startUnit(name: string, environment: Readonly<Record<string, string>>): Promise<RunningProcess> {
  const unit = serviceOf(name);
  const folder = join(home.path, unit.get("StateDirectory") ?? expect.fail());
  await mkdir(folder, { recursive: true, mode: Number.parseInt(unit.get("StateDirectoryMode") ?? "755", 8) });
  const { OPTIONS = "", ...variables } = environment;
  const [command, ...words] = (unit.get("ExecStart") ?? "")
    .split(" ")
    .flatMap((word) => (word === "$OPTIONS" ? OPTIONS.split(" ") : [word.replace("%S", home.path)]));
  const kept = unit.get("CapabilityBoundingSet")?.split(" ").filter(Boolean);
  const bounds = ["-all", ...(kept ?? []).map((capability) => `+${capability.replace("CAP_", "").toLowerCase()}`)];
  const setprivArguments = [
    ...(unit.get("NoNewPrivileges") === "yes" ? ["--no-new-privs"] : []),
    ...(CAN_MAKE_USERS && kept !== undefined ? ["--inh-caps", "-all", "--bounding-set", bounds.join(",")] : []),
  ];
  return startCommand(command as CommandName, words, {
    env: { HOME: home.path, ...variables },
    user: { installation: ROOT, setprivArguments },
  });
}

async function isReady(process: RunningProcess): Promise<void> {
  const metrics = await MetricsPort.of(process);
  await expect.poll(() => metrics.ready()).toMatchObject({ http: 200, status: "ready" });
}

async function endsBySignal(name: string, running: RunningProcess): Promise<void> {
  process.kill(running.pid, serviceOf(name).get("KillSignal"));
  expect(await running.exit()).toMatchObject({ code: 0, signal: null });
}
