import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { noSshBinary } from "./setup-texts.ts";
import { signalStatus } from "./signal-status.ts";
import { STARTED_BY_SSHNP } from "./started-by-sshnp.ts";

/** How a command ends: its exit status, and an error that a person has not been told yet, if there is one. */
export interface CommandEnd {
  readonly status: number;
  readonly error: unknown;
  /** Tell of the error in JSON. */
  readonly json?: boolean;
}

export interface SshProcess {
  readonly child: ChildProcess;
  /** Its exit status, 128 + N when a signal ended it; E_NO_SSH when it could not be started. Never rejects. */
  readonly ended: Promise<CommandEnd>;
}

/** Programs of the system that speak SSH, by themselves or by starting ssh. */
export type SshProgram = "ssh" | "scp" | "sftp" | "rsync";

/** Starts such a program, ssh if none is named, on our terminal and files. `front`: the value of SSHNP_FRONT, see front.ts. */
export function startSsh(
  arguments_: readonly string[],
  { front, program = "ssh" }: { readonly front?: string; readonly program?: SshProgram } = {},
): SshProcess {
  const { SSHNP_FRONT: _, ...inherited } = process.env;
  const env = { ...inherited, [STARTED_BY_SSHNP]: "yes", ...(front !== undefined && { SSHNP_FRONT: front }) };
  const child = spawn(program, arguments_, { stdio: "inherit", env });
  return { child, ended: endOf(child, program) };
}

async function endOf(child: ChildProcess, program: SshProgram): Promise<CommandEnd> {
  try {
    const [code, signal]: (number | null | NodeJS.Signals)[] = await once(child, "exit");
    if (typeof code === "number") return { status: code, error: undefined };
    return { status: signalStatus(signal as NodeJS.Signals), error: undefined };
  } catch (cause) {
    return { status: 255, error: noSshBinary(cause, program) };
  }
}
