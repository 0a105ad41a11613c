import { userInfo } from "node:os";
import { SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import type { SessionCommand } from "../command-line.ts";
import { configurationOf, type SshOption, scanSshOptions } from "../ssh-options.ts";

/** What the built-in client does of what ssh can. */
export interface NativeOptions {
  readonly login: string;
  /** As given; empty: those of ~/.ssh. */
  readonly identityFiles: readonly string[];
  /** Whether the device is to make a terminal; `auto`: for a shell, when standard input is one. */
  readonly terminal: "auto" | "yes" | "no";
  /** Standard input is not read. */
  readonly noInput: boolean;
  /** Nobody is asked for a passphrase. */
  readonly batch: boolean;
  /** Undefined: a shell. */
  readonly command: string | undefined;
}

/**
 * Reads ssh's options as far as the built-in client knows them. ~/.ssh/config is not read.
 * @throws {SetupError} E_NO_SSH naming an option that takes ssh itself.
 */
export function readNativeOptions({ destination, ssh }: SessionCommand): NativeOptions {
  const before = scanSshOptions(ssh.before);
  const after = scanSshOptions(ssh.after);
  const command = ssh.after.slice(after.words).join(" ");
  let options: NativeOptions = {
    login: destination.login === "" ? userInfo().username : destination.login,
    identityFiles: [],
    terminal: "auto",
    noInput: false,
    batch: false,
    command: command === "" ? undefined : command,
  };
  for (const option of [...before.options, ...after.options]) options = withOption(options, option);
  return options;
}

function withOption(options: NativeOptions, { letter, value = "" }: SshOption): NativeOptions {
  switch (letter) {
    case "i":
      return { ...options, identityFiles: [...options.identityFiles, value] };
    case "t":
      return { ...options, terminal: "yes" };
    case "T":
      return { ...options, terminal: "no" };
    case "n":
      return { ...options, noInput: true };
    // The login is in the destination already; the others say what is so in any case, or does not matter here.
    case "l":
    case "p":
    case "q":
    case "v":
    case "a":
    case "x":
    case "k":
    case "4":
    case "6":
    case "C":
      return options;
    case "o":
      return withConfiguration(options, value);
    default:
      throw needsSsh(`-${letter}`);
  }
}

function withConfiguration(options: NativeOptions, text: string): NativeOptions {
  const configuration = configurationOf(text);
  const value = configuration?.value ?? "";
  switch (configuration?.key) {
    case "identityfile":
      return { ...options, identityFiles: [...options.identityFiles, value] };
    case "batchmode":
      return { ...options, batch: /^(?:yes|true)$/i.test(value) };
    case "requesttty":
      return { ...options, terminal: /^(?:yes|force)$/i.test(value) ? "yes" : /^no$/i.test(value) ? "no" : "auto" };
    case "user":
    case "port":
    case "loglevel":
      return options;
    default:
      throw needsSsh(`-o ${text}`);
  }
}

function needsSsh(option: string): SetupError {
  return new SetupError("E_NO_SSH", `The built-in client knows no ${quoted(option)}; it takes ssh itself.`, {
    next: "Install it (Debian: apt-get install openssh-client) and leave --native out, or leave the option out.",
  });
}
