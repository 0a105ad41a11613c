import { userInfo } from "node:os";
import { freePort } from "../support/free-port.ts";
import { type RunningProcess, startProcess } from "../support/processes.ts";
import { type SshServer, startSshServer } from "../support/sshd.ts";
import type { Bench } from "./bench.ts";

/** What people have today: an SSH server in between, to which the device holds a tunnel open with `ssh -R`. */
export interface Pivot extends AsyncDisposable {
  readonly server: SshServer;
  /** The words of `ssh` from the login to the destination, for another command through it. */
  readonly words: readonly string[];
  /** The device's port on the pivot, by `ssh -R` alone. */
  readonly remotePort: number;
  /** The same at the client, by `ssh -L` in front of it. */
  readonly localPort: number;
  readonly pids: { readonly server: number; readonly device: number; readonly client: number };
}

/**
 * Both hops encrypt with aes128-gcm, OpenSSH's fastest here. `devicePort`: what is reached on the device. `behind`: a port that
 * leads to the pivot's, given one, by which everybody is to reach it.
 */
export async function startPivot(
  bench: Bench,
  devicePort: number,
  behind?: (port: number) => Promise<number>,
): Promise<Pivot> {
  const server = await startSshServer(bench.user === undefined ? {} : { user: bench.user });
  const login = `${bench.user?.name ?? userInfo().username}@127.0.0.1`;
  const at = behind === undefined ? [] : ["-o", `Port ${await behind(server.port)}`];
  const words = [...at, "-o", `HostKeyAlias [127.0.0.1]:${server.port}`, ...server.sshOptions, login];
  const [remotePort, localPort] = [await freePort(), await freePort()];
  const tunnel = async (forward: readonly string[], port: number): Promise<RunningProcess> => {
    const options = ["-N", "-c", "aes128-gcm@openssh.com", "-o", "ExitOnForwardFailure=yes", ...forward];
    const ssh = startProcess("ssh", [...options, ...words], { env: { HOME: bench.folder } });
    await bench.listens(port);
    return ssh;
  };
  const device = await tunnel(["-R", `127.0.0.1:${remotePort}:127.0.0.1:${devicePort}`], remotePort);
  const client = await tunnel(["-L", `127.0.0.1:${localPort}:127.0.0.1:${remotePort}`], localPort);
  return {
    ...{ server, words, remotePort, localPort },
    pids: { server: server.process.pid, device: device.pid, client: client.pid },
    async [Symbol.asyncDispose]() {
      await Promise.all([device.stop(), client.stop()]);
      await server.stop();
    },
  };
}
