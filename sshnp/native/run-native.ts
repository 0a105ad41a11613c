import { SetupError, SshnpError } from "../../keys/errors.ts";
import { readPins } from "../../keys/peer-files.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import type { SessionCommand } from "../command-line.ts";
import { connect } from "../connect.ts";
import { Progress } from "../progress.ts";
import { findUserKey } from "../public-key.ts";
import { truncated } from "../session-texts.ts";
import type { Session } from "../session.ts";
import { signalStatus } from "../signal-status.ts";
import type { CommandEnd } from "../ssh-process.ts";
import { logIn } from "./log-in.ts";
import { type NativeOptions, readNativeOptions } from "./options.ts";
import { run } from "./run.ts";

/** Runs a session without the system's ssh. `keys`: absolute path of the keys folder. */
export async function runNative(command: SessionCommand, keys: string): Promise<CommandEnd> {
  const options = readNativeOptions(command);
  const attempt = new AbortController();
  let interrupted: CommandEnd | undefined;
  const interrupt = (by: NodeJS.Signals): void => {
    interrupted ??= { status: signalStatus(by), error: undefined };
    attempt.abort(new SetupError("E_INTERRUPTED", "Interrupted."));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
  try {
    const { pushKey, verbose } = command.destination;
    const { signal } = attempt;
    const progress = new Progress(verbose);
    const userKey = pushKey === undefined ? undefined : await findUserKey(pushKey.identityFile, { signal });
    const destination = { ...command.destination, login: options.login };
    const session = await connect(destination, { keys, userKey, progress, signal });
    const end = await converse(session, options, keys, progress, signal);
    return interrupted ?? end;
  } catch (error) {
    return interrupted ?? { status: 255, error };
  }
}

async function converse(
  session: Session,
  options: NativeOptions,
  keys: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<CommandEnd> {
  const { attempt } = session;
  const stream = session.open("ssh", { only: true });
  stream.on("error", () => {}); // the session tells
  try {
    const client = await logIn(stream, attempt, await hostKeysOf(keys, attempt.device), options, signal);
    progress.step(`logged in as ${options.login}`);
    const leave = (): void => void client.destroy();
    signal.addEventListener("abort", leave, { once: true });
    const status = await run(client, options);
    client.end();
    const broken = stream.errored;
    await session.close();
    const failure = (await session.ended) ?? (broken === null ? undefined : truncated(attempt, broken));
    return { status, error: status === 255 ? failure : undefined };
  } catch (error) {
    await session.close();
    const failure = await session.ended;
    // The deeper reason: an SSH that ends without a word has lost its path.
    return {
      status: 255,
      error: error instanceof SshnpError && error.code !== "E_NO_SSHD" ? error : (failure ?? error),
    };
  }
}

/** The host keys of the device as connect has just pinned them: OpenSSH public key lines. */
async function hostKeysOf(path: string, device: Session["attempt"]["device"]): Promise<readonly string[]> {
  const folder = await PrivateFolder.open(path);
  const pins = folder === undefined ? undefined : await readPins(folder, device);
  return pins?.member?.hostKeys ?? [];
}
