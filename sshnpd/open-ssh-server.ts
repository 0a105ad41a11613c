import { join } from "node:path";
import type { MemberName, Name } from "../keys/names.ts";
import { PrivateFolder } from "../keys/private-folder.ts";
import type { OpenBuiltin } from "./builtin-mode.ts";
import { CLOCK } from "./clock.ts";
import type { Candidate } from "./auto-server.ts";
import { HostKeys } from "./host-keys.ts";
import type { InetdProgram } from "./inetd-program.ts";
import { listeningSockets } from "./listening-sockets.ts";
import type { Log } from "./log.ts";
import type { SshMode, SshServer } from "./ssh-server.ts";
import { TcpServer } from "./tcp-server.ts";

export interface SshServerChoice {
  readonly mode: SshMode;
  readonly port: number;
  /** The one to be started for each session, where it was said. */
  readonly program: Pick<InetdProgram, "name" | "file"> | undefined;
  readonly name: Name;
  readonly member: MemberName;
  /** The keys folder. */
  readonly folder: PrivateFolder;
  /** What a client that may use ssh gets instead where there is none, in words. */
  readonly granted: () => Promise<string>;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * The SSH server that `--ssh-mode` means. What a mode does not need is not loaded.
 * @throws {SetupError} E_USAGE where there is none of that mode; E_STORAGE, E_KEY_PERMISSIONS.
 */
export async function openSshServer(choice: SshServerChoice): Promise<SshServer> {
  if (choice.mode === "off") return new (await import("./off-server.ts")).OffServer(choice.granted);
  const { name, member, folder, log, signal } = choice;
  const state = await PrivateFolder.openOrCreate(join(folder.path, "state"));
  const word = `${name}.${member}`;
  const candidates = await candidatesFor(choice, { state, ownKey: word, signal });
  const { AutoServer } = await import("./auto-server.ts");
  return new AutoServer({ candidates, state, member: word, mayChangeKeys: choice.mode !== "auto", log });
}

async function candidatesFor(
  { mode, port, program, folder, log, signal }: SshServerChoice,
  surroundings: { readonly state: PrivateFolder; readonly ownKey: string; readonly signal: AbortSignal },
): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  if (mode === "auto" || mode === "tcp") {
    const hostKeys = new HostKeys(port, () => CLOCK.now(), signal);
    const server = new TcpServer({
      port,
      hostKeys,
      loginLimits: async () => (await import("./login-limits.ts")).loginLimitsOf(port, signal),
    });
    candidates.push({
      word: "tcp",
      server,
      ...(mode === "auto" && { mayBeThere: async () => (await listeningSockets(port)) !== "" }),
    });
  }
  if (mode === "auto" || mode === "inetd") {
    const { InetdServer } = await import("./inetd-server.ts");
    const { INETD_PROGRAMS } = await import("./inetd-program.ts");
    const wanted = program === undefined ? INETD_PROGRAMS.map((name) => ({ name })) : [program];
    for (const one of wanted) {
      candidates.push({ word: `inetd ${one.name}`, server: new InetdServer(one, surroundings) });
    }
  }
  if (mode === "auto" || mode === "builtin") {
    const { BuiltinMode } = await import("./builtin-mode.ts");
    const openBuiltin: OpenBuiltin = async () =>
      (await import("./builtin/server.ts")).BuiltinServer.open({ folder, log });
    candidates.push({ word: "builtin", server: new BuiltinMode(openBuiltin) });
  }
  return candidates;
}
