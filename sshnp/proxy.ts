import { SetupError } from "../keys/errors.ts";
import { bridge } from "./bridge.ts";
import type { Destination } from "./command-line.ts";
import { connect } from "./connect.ts";
import { keysFolderOf, withLogin } from "./destination.ts";
import { Progress } from "./progress.ts";
import { findUserKey } from "./public-key.ts";
import { parseProxyLine } from "./proxy-line.ts";
import { standardStreams } from "./relay.ts";
import { type CommandEnd, signalStatus } from "./ssh-process.ts";
import { SshWatch } from "./ssh-watch.ts";

/** `sshnp proxy ...` */
export async function proxy(words: readonly string[]): Promise<CommandEnd> {
  const parsed = parseProxyLine(words);
  if (parsed === "help" || parsed === "version") {
    process.stdout.write((await import("./usage.ts")).PROXY_HELP);
    return { status: 0, error: undefined };
  }
  const destination = await withLogin(parsed, []);
  return await relaySession(destination, keysFolderOf(destination));
}

/** Makes a session of its own and joins it to standard input and output: what stands behind any ssh, scp or rsync. */
async function relaySession(destination: Destination, keys: string): Promise<CommandEnd> {
  const attempt = new AbortController();
  const ssh = standardStreams();
  let interruptedBy: NodeJS.Signals | undefined;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      interruptedBy ??= signal;
      attempt.abort(new SetupError("E_INTERRUPTED", "Interrupted."));
      ssh.to.destroy();
    });
  }
  try {
    const { pushKey, verbose } = destination;
    const { signal } = attempt;
    const userKey = pushKey === undefined ? undefined : await findUserKey(pushKey.identityFile, { signal });
    const session = await connect(destination, { keys, userKey, progress: new Progress(verbose), signal });
    await bridge(session.stream, ssh, new SshWatch());
    await session.close();
    const error = await session.ended;
    if (error !== undefined) throw error;
    return { status: interruptedBy === undefined ? 0 : signalStatus(interruptedBy), error: undefined };
  } catch (error) {
    return interruptedBy === undefined
      ? { status: 255, error }
      : { status: signalStatus(interruptedBy), error: undefined };
  } finally {
    ssh.from.destroy();
    ssh.to.destroy();
  }
}
