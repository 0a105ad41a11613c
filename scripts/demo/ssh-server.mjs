// The device's SSH server: OpenSSH on a free port of 127.0.0.1, with a host key and an admitted key of its own.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

/**
 * @param {import("./cast.mjs").Cast} cast who runs the processes
 * @param {string} folder an empty one for its files
 * @returns {Promise<{ port: number, hostKey: string, identityFile: string }>} identityFile: the private key it admits
 */
export async function startSshServer(cast, folder) {
  if (process.getuid() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 }); // sshd insists on it
  for (const key of ["host", "user"]) {
    await cast.run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", join(folder, key)]);
  }
  const port = await freePort();
  const lines = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${join(folder, "host")}`,
    `AuthorizedKeysFile ${join(folder, "user.pub")}`,
    "PidFile none",
    "StrictModes no", // the folder lies below /tmp, which everybody may write to
    "UsePAM no",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin prohibit-password",
    "PrintMotd no",
    "PrintLastLog no",
    "SetEnv HISTFILE=/dev/null", // nothing that is typed here stays in the account's history
    "Subsystem sftp internal-sftp",
  ];
  writeFileSync(join(folder, "sshd_config"), `${lines.join("\n")}\n`);
  const server = cast.start("sshd", "/usr/sbin/sshd", ["-D", "-e", "-f", join(folder, "sshd_config")]);
  await server.until("its start", ({ stderr }) => (stderr.includes("Server listening") ? true : undefined));
  const hostKey = readFileSync(join(folder, "host.pub"), "utf8").trim();
  return { port, hostKey, identityFile: join(folder, "user") };
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
