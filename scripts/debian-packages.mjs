// Debian packages for tests and demo. Services of what is installed here are neither started nor enabled.
import { accessSync, constants, existsSync, lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { run, SetUpError } from "./run.mjs";

/** Command -> the Debian package that brings it. */
const PACKAGES = {
  age: "age",
  "ansible-playbook": "ansible-core",
  curl: "curl",
  dbclient: "dropbear-bin",
  dropbear: "dropbear-bin",
  fish: "fish",
  git: "git",
  haproxy: "haproxy",
  ip: "iproute2",
  mandoc: "mandoc",
  mosquitto: "mosquitto",
  openssl: "openssl",
  postgres: "postgresql-15",
  promtool: "prometheus",
  ps: "procps",
  "rabbitmq-server": "rabbitmq-server",
  rsync: "rsync",
  rsyslogd: "rsyslog",
  socat: "socat",
  squid: "squid",
  ss: "iproute2",
  ssh: "openssh-client",
  sshd: "openssh-server",
  tmux: "tmux",
  zsh: "zsh",
};

/** Package -> the services that it, or what it brings, would start. */
const SERVICES = {
  haproxy: ["haproxy.service"],
  mosquitto: ["mosquitto.service"],
  "openssh-server": ["ssh.service"],
  "postgresql-15": ["postgresql.service"],
  "rabbitmq-server": ["rabbitmq-server.service", "epmd.service", "epmd.socket"],
  rsyslog: ["rsyslog.service", "syslog.socket"],
  prometheus: ["prometheus.service", "prometheus-node-exporter.service"],
  squid: ["squid.service"],
};

/**
 * Installs the packages of the commands that are missing. Anything that is there already is left alone.
 * @param {string[]} commands
 * @param {{ signal: AbortSignal }} options
 */
export async function installDebianPackages(commands, { signal }) {
  const missing = [...new Set(commands.filter((command) => !isThere(command)).map((command) => PACKAGES[command]))];
  if (missing.length === 0) return;
  const install = ["apt-get", "install", "--no-install-recommends", ...missing].join(" ");
  if (process.getuid?.() !== 0 || !isThere("apt-get")) {
    throw new SetUpError(
      `These Debian packages are missing: ${missing.join(", ")}.\n` +
        "They are installed by themselves only for root on Debian. Install them with:\n" +
        `  sudo ${install}`,
    );
  }

  process.stderr.write(`set-up: installing the Debian packages ${missing.join(", ")} (apt-get)\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = ["-q", "-o", "DPkg::Lock::Timeout=300"];
  await run("apt-get", [...apt, "update"], { env, signal });
  // From here on a Ctrl-C waits: half-installed packages would be worse than half a minute.
  holdServices();
  try {
    await run("apt-get", [...apt, "install", "-y", "--no-install-recommends", ...missing], { env, detached: true });
  } finally {
    releaseServices();
    for (const name of missing) for (const unit of SERVICES[name] ?? []) await disable(name, unit);
  }
  signal.throwIfAborted();
}

function isThere(command) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin", "/usr/lib/postgresql/15/bin"];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

// invoke-rc.d and deb-systemd-invoke ask this program before they start anything; 101 means no (deb: init-system-helpers).
const POLICY_FILE = "/usr/sbin/policy-rc.d";
const SAVED_POLICY_FILE = "/usr/sbin/policy-rc.d.before-sshnp";
const POLICY = "#!/bin/sh\n# Written by sshnp for the time of one apt-get install.\nexit 101\n";

function holdServices() {
  if (isPresent(POLICY_FILE) && !isOurPolicy()) renameSync(POLICY_FILE, SAVED_POLICY_FILE);
  writeFileSync(POLICY_FILE, POLICY, { mode: 0o755 });
}

function releaseServices() {
  rmSync(POLICY_FILE, { force: true });
  if (isPresent(SAVED_POLICY_FILE)) renameSync(SAVED_POLICY_FILE, POLICY_FILE);
}

/** A run that was killed may have left our file; it must not be taken for the machine's own. */
function isOurPolicy() {
  return existsSync(POLICY_FILE) && readFileSync(POLICY_FILE, "utf8") === POLICY;
}

function isPresent(path) {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** The package enables its service at the first installation, whatever the policy says, for each init system in its way. */
async function disable(name, unit) {
  const service = unit.replace(/\..*$/, "");
  const env = { ...process.env, DPKG_MAINTSCRIPT_PACKAGE: name }; // deb-systemd-helper demands it
  if (isThere("deb-systemd-helper")) await run("deb-systemd-helper", ["disable", unit], { env });
  if (isPresent(`/etc/init.d/${service}`)) await run("update-rc.d", [service, "disable"]);
  const runit = "/etc/runit/runsvdir/default";
  // A leading dot means: switched off.
  if (isPresent(`${runit}/${service}`)) renameSync(`${runit}/${service}`, `${runit}/.${service}`);
}
