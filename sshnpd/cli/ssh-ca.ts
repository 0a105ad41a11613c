import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { Command } from "commander";
import { listKeyFiles } from "../../keys/end-key-files.ts";
import { SetupError } from "../../keys/errors.ts";
import { keysFolderPath } from "../../keys/keys-folder.ts";
import { printable } from "../../keys/print-error.ts";
import { printData } from "../../keys/print-data.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { openSshAuthority } from "../../keys/ssh-authority-file.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { ownLoginUnlessRoot, parseLogins } from "../session-keys.ts";

interface Flags {
  readonly keys?: string;
  readonly for?: string;
}

/** `sshnpd ssh-ca`: what makes this machine's SSH server take the certificates of `sshnpd --session-keys`. */
export function sshCaCommand(): Command {
  const program = new Command("sshnpd");
  program
    .command("ssh-ca")
    .description("Prints the lines of sshd_config(5) by which sshd takes the session keys that sshnpd certifies.")
    .option("--keys <folder>", "where the keys are (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)")
    .option("--for <logins>", "for these logins alone, with commas; unless run as root, for your own in any case")
    .addHelpText(
      "after",
      `
As the user who runs sshnpd, whose key it is, once:
  sshnpd ssh-ca | sudo tee /etc/ssh/sshd_config.d/sshnp.conf && sudo systemctl reload ssh
Where root runs sshnpd, as root: sshnpd ssh-ca > /etc/ssh/sshd_config.d/sshnp.conf && systemctl reload ssh
The key that certifies is made here when there is none yet, and never leaves the keys folder.`,
    )
    .action((flags: Flags) => print(flags));
  return program;
}

async function print(flags: Flags): Promise<void> {
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const own = ownLoginUnlessRoot();
  const logins = flags.for === undefined ? own : parseLogins(flags.for, "--for").join(",");
  if (own !== undefined && logins !== own) {
    throw new SetupError("E_USAGE", `This sshnpd runs as ${own}, and so it certifies keys for ${own} alone.`, {
      next: "Leave --for out, or run it as root with the keys folder of root's sshnpd.",
    });
  }
  const path = resolve(keysFolderPath(flags.keys, process.env));
  const folder = await PrivateFolder.openOrCreate(path);
  if ((await listKeyFiles(folder)).every((file) => file.kind === "owner")) {
    const note = `${path} has no keys of a device: this is to be run as the user who runs sshnpd, with the same --keys.`;
    process.stderr.write(`sshnpd: ${printable(note)}\n`);
  }
  const { publicKeyPath } = await openSshAuthority(suite, folder, (length) => new Uint8Array(randomBytes(length)));
  const trust = `TrustedUserCAKeys ${sshdWord(publicKeyPath)}`;
  await printData(logins === undefined ? `${trust}\n` : `Match User ${logins}\n  ${trust}\n`);
}

/** One word of sshd_config(5); `%` stands for itself in it. @throws {SetupError} E_USAGE when that cannot be written. */
function sshdWord(path: string): string {
  if (/[\p{Cc}"\\]/u.test(path)) {
    throw new SetupError("E_USAGE", "The path of the keys folder cannot be written in sshd's configuration.", {
      next: "Use a folder without quotes, backslashes and control characters.",
    });
  }
  return `"${path}"`;
}
