import { SetupError } from "../keys/errors.ts";
import { bridge } from "./bridge.ts";
import type { Destination } from "./command-line.ts";
import { connect } from "./connect.ts";
import { keysFolderOf, withLogin } from "./destination.ts";
import { Progress } from "./progress.ts";
import { findUserKey } from "./public-key.ts";
import { parseProxyLine } from "./proxy-line.ts";
import { readAhead } from "./read-ahead.ts";
import { readDefaults } from "./settings.ts";
import { standardStreams } from "./relay.ts";
import { type CommandEnd, signalStatus } from "./ssh-process.ts";
import { SshWatch } from "./ssh-watch.ts";

/** `sshnp proxy ...` */
export async function proxy(words: readonly string[]): Promise<CommandEnd> {
  const parsed = parseProxyLine(words, readDefaults(process.env));
  if (parsed === "help" || parsed === "version") {
    (await import("./usage.ts")).proxyDescription().outputHelp();
    return { status: 0, error: undefined };
  }
  const destination = await withLogin(parsed, []);
  return await relaySession(destination, keysFolderOf(destination));
}

/** Makes a session of its own and joins it to standard input and output: what stands behind any ssh, scp or rsync. */
async function relaySession(destination: Destination, keys: string): Promise<CommandEnd> {
  const attempt = new AbortController();
  const ssh = standardStreams();
  let interrupted: CommandEnd | undefined;
  const interrupt = (by: NodeJS.Signals): void => {
    interrupted ??= { status: signalStatus(by), error: undefined };
    attempt.abort(new SetupError("E_INTERRUPTED", "Interrupted."));
    ssh.to.destroy();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
  const stopReading = readAhead(ssh.from, () => interrupt("SIGHUP"));
  try {
    const { pushKey, verbose } = destination;
    const { signal } = attempt;
    const userKey = pushKey === undefined ? undefined : await findUserKey(pushKey.identityFile, { signal });
    const session = await connect(destination, { keys, userKey, progress: new Progress(verbose), signal });
    stopReading();
    await bridge(session.open("ssh", { only: true }), ssh, new SshWatch());
    await session.close();
    return interrupted ?? { status: 0, error: await session.ended };
  } catch (error) {
    return interrupted ?? { status: 255, error };
  } finally {
    ssh.from.destroy();
    ssh.to.destroy();
  }
}
