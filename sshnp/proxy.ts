import { SetupError } from "../keys/errors.ts";
import { hostName } from "../keys/names.ts";
import { PROXY } from "./attempt.ts";
import { bridge } from "./bridge.ts";
import type { Destination } from "./command-line.ts";
import { connect } from "./connect.ts";
import { keysFolderOf, withLogin } from "./destination.ts";
import { loadSessionAgent } from "./load-session-agent.ts";
import { Progress } from "./progress.ts";
import { parseProxyLine } from "./proxy-line.ts";
import { readAhead } from "./read-ahead.ts";
import type { SessionAgent } from "./session-agent.ts";
import { readDefaults } from "./settings.ts";
import { type StandardStreams, standardStreams } from "./relay.ts";
import { signalStatus } from "./signal-status.ts";
import type { CommandEnd } from "./ssh-process.ts";
import { SshWatch } from "../protocol/ssh-watch.ts";
import { isStderrThrownAway, tellSsh, writeToTerminal } from "./told-by-ssh.ts";

/** `sshnp proxy ...` */
export async function proxy(words: readonly string[]): Promise<CommandEnd> {
  const ssh = standardStreams();
  const watch = new SshWatch();
  const end = await proxied(words, ssh, watch).catch((error: unknown): CommandEnd => ({ status: 255, error }));
  if (end.error !== undefined && !watch.serverSpoke && isStderrThrownAway()) await tellSsh(end.error, ssh);
  ssh.from.destroy();
  ssh.to.destroy();
  return end;
}

async function proxied(words: readonly string[], ssh: StandardStreams, watch: SshWatch): Promise<CommandEnd> {
  const parsed = parseProxyLine(words, readDefaults(process.env));
  if (parsed === "help" || parsed === "version") {
    (await import("./usage.ts")).proxyDescription().outputHelp();
    return { status: 0, error: undefined };
  }
  const destination = await withLogin(parsed, []);
  return await relaySession(destination, keysFolderOf(destination), ssh, watch);
}

/** Makes a session of its own and joins it to standard input and output: what stands behind any ssh, scp or rsync. */
async function relaySession(
  destination: Destination,
  keys: string,
  ssh: StandardStreams,
  watch: SshWatch,
): Promise<CommandEnd> {
  const attempt = new AbortController();
  let interrupted: CommandEnd | undefined;
  let agent: SessionAgent | undefined;
  let stands = false;
  const interrupt = (by: NodeJS.Signals): void => {
    // A terminal's, for those who share ssh's master too, or an sftp that goes on: the end of ssh is what ends us.
    if (stands && by !== "SIGTERM") return;
    interrupted ??= { status: signalStatus(by), error: undefined };
    attempt.abort(new SetupError("E_INTERRUPTED", "Interrupted."));
    ssh.to.destroy();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
  const stopReading = readAhead(ssh.from, () => interrupt("SIGHUP"));
  try {
    const { pushKey, verbose } = destination;
    const { signal } = attempt;
    const userKey =
      pushKey === undefined
        ? undefined
        : await (await import("./public-key.ts")).findUserKey(pushKey.identityFile, { signal });
    agent = destination.sessionKey === true ? await loadSessionAgent(agentPath(destination, keys)) : undefined;
    const progress = new Progress(verbose, isStderrThrownAway() ? writeToTerminal : undefined);
    const session = await connect(destination, { keys, asked: PROXY, userKey, sessionKey: agent, progress, signal });
    stopReading();
    stands = true;
    await bridge(session.open("ssh", { only: true }), ssh, watch);
    await session.close();
    return interrupted ?? { status: 0, error: await session.ended };
  } catch (error) {
    return interrupted ?? { status: 255, error };
  } finally {
    if (watch.serverSpoke) ssh.to.destroy(); // and so our own ssh asks the agent no more
    await agent?.close();
  }
}

/** ssh's configuration says IdentityAgent KEYS/state/agent.%r@%h, for it cannot be told another place any more. */
function agentPath({ login, device }: Destination, keys: string): string {
  return `${keys}/state/agent.${login}@${hostName(device)}`;
}
