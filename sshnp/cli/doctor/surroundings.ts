import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { SetupError } from "../../../keys/errors.ts";
import { LOOK_MS } from "../../../protocol/limits.ts";
import { noSshBinary } from "../../setup-texts.ts";

const execute = promisify(execFile);

/** The variables by which programs are told of proxies, as they stand here; what may be a password in them is taken out. */
export function proxyVariables(
  env: Readonly<Record<string, string | undefined>>,
): readonly (readonly [string, string])[] {
  return ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"].flatMap((name) =>
    [name, name.toLowerCase()].flatMap((variable): (readonly [string, string])[] => {
      const value = env[variable];
      return value === undefined || value === "" ? [] : [[variable, withoutPassword(value)]];
    }),
  );
}

/** All ahead of the last @, where a proxy's user and password stand. */
function withoutPassword(text: string): string {
  return text.replace(/^([a-z0-9+.-]*:\/\/)?.*@/is, "$1...@").slice(0, 200);
}

/** What the system's ssh says it is, `OpenSSH_9.2p1 ...`. @throws {SetupError} E_NO_SSH. */
export async function sshVersion(): Promise<string> {
  try {
    const { stderr, stdout } = await execute("ssh", ["-V"], { timeout: LOOK_MS, maxBuffer: 64 * 1024 });
    return (stderr + stdout).split("\n", 1)[0] ?? "";
  } catch (cause) {
    throw noSshBinary(cause);
  }
}

/** Whether ssh, as it is configured for this user, goes through sshnp to hosts that end in .np. @throws {SetupError} E_NO_SSH. */
export async function isSshConfigured(): Promise<boolean> {
  try {
    const { stdout } = await execute("ssh", ["-G", "mygateway.device.np"], { timeout: LOOK_MS, maxBuffer: 256 * 1024 });
    return /^proxycommand .*sshnp.* proxy /m.test(stdout);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") throw noSshBinary(cause);
    throw new SetupError("E_NO_SSH", "ssh cannot read its configuration.", {
      next: "See what it says: ssh -G mygateway.device.np",
      cause,
    });
  }
}
