import { keysFolderOf, withLogin } from "../destination.ts";
import { runFront } from "../front.ts";
import { readDefaults } from "../settings.ts";
import { agentOptions, ourOptions } from "../ssh-command.ts";
import { type CommandEnd, type SshProcess, startSsh } from "../ssh-process.ts";
import { parseTransfer, type TransferProgram } from "../transfer-line.ts";

/**
 * `sshnp cp|rsync|sftp ...`: the system's scp, rsync or sftp with what sshnp gives ssh. `main`: the path by which ssh can start
 * us again, as its proxy. The exit status is the program's.
 */
export async function transfer(program: TransferProgram, words: readonly string[], main: string): Promise<CommandEnd> {
  const parsed = parseTransfer(program, words, readDefaults(process.env));
  if (parsed === "help") {
    (await import("../transfer-help.ts")).describeTransfer(program).outputHelp();
    return { status: 0, error: undefined };
  }
  const destination = await withLogin(parsed.destination, parsed.configuration);
  const keys = keysFolderOf(destination);
  const ours = ourOptions(destination, { node: process.execPath, main, keys });
  const start = (front: string, agent: string | undefined): SshProcess => {
    // A connection that is there may be that of another client.
    const options = [...ours, "-o", "ControlPath=none", ...(agent === undefined ? [] : agentOptions(false, agent))];
    const shell = program === "rsync" ? ["-e", rsyncShell(["ssh", ...options], parsed.sshWords)] : options;
    return startSsh([...shell, ...parsed.words], { front, program });
  };
  return await runFront(destination, keys, start, parsed.asked);
}

/** rsync takes its remote shell apart at spaces; in quotes, a quote is written twice (rsync(1), "--rsh"). */
function rsyncShell(words: readonly string[], further: string): string {
  const quoted = words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "''")}'`));
  return [...quoted, ...(further === "" ? [] : [further])].join(" ");
}
