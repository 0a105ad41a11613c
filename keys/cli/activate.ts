import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { Command } from "commander";
import { DirectoryClient } from "../../directory/client.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import type { CipherSuite, RandomBytes } from "../cipher-suite.ts";
import { readCramSecret } from "../cram-secret.ts";
import { SetupError } from "../errors.ts";
import { keysFolderPath } from "../keys-folder.ts";
import { isMember, type MemberName, parseMember, parseName, type Role } from "../names.ts";
import { fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { passphraseFromFile, promptForPassphrase } from "../passphrase.ts";
import { PrivateFolder } from "../private-folder.ts";
import type { Secret } from "../secret.ts";
import { shellWord } from "../shell-word.ts";
import { activate } from "./activation.ts";

interface ActivateOptions {
  readonly atsign: string;
  readonly cramSecret?: string;
  readonly cramFile?: string;
  readonly directory?: string;
  readonly device?: string;
  readonly keys?: string;
  readonly passphrase?: boolean;
  readonly passphraseFile?: string;
}

/** `sshnp-keys activate` */
export function activateCommand(): Command {
  return new Command("activate")
    .description("Turn a one-time secret into the owner key of a name and its first member.")
    .requiredOption("-a, --atsign <name>", "the name to activate, such as @acme")
    .option("-c, --cram-secret <secret>", "its one-time secret (64 hex digits); - reads it from stdin; '' only checks")
    .option("--cram-file <file>", "read the secret from a file (else SSHNP_CRAM)")
    .option("-d, --device <member>", "make this machine a device of that name; without it, a client")
    .option("--directory <address>", "http(s)://HOST:PORT#SHA256:... (else SSHNP_DIRECTORY)")
    .option("--keys <folder>", "where the keys go (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)")
    .option("--passphrase", "ask for a passphrase that guards the owner key")
    .option("--passphrase-file <file>", "the first line of a file is that passphrase")
    .addHelpText(
      "after",
      `
The secret comes from whoever runs the directory: sshnp-directory name add @acme
It is never sent: it proves, over a nonce of the directory's, that these keys may become @acme's.
Running it again is harmless; an answer that was lost is asked for again.

Examples:
  sshnp-keys activate -a @device -c SECRET --directory 'http://np.example.org:7800#SHA256:...' -d mygateway
  sshnp-keys activate -a @client --cram-file secret.txt --directory 'http://np.example.org:7800#SHA256:...'`,
    )
    .action((options: ActivateOptions) => run(options));
}

async function run(options: ActivateOptions): Promise<void> {
  const name = parseName(options.atsign);
  const role: Role = options.device === undefined ? "client" : "device";
  const member = options.device === undefined ? clientMember(hostname()) : parseMember(options.device);
  const secret = await readCramSecret(options, process.env);
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const folder = await PrivateFolder.openOrCreate(keysFolderPath(options.keys, process.env));
  const interruption = new AbortController();
  const interrupt = () => interruption.abort(new SetupError("E_INTERRUPTED", "Interrupted."));
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);

  const result = await activate(
    { suite, random, folder, connect },
    { name, member, role, secret, directory: givenDirectory(options), passphrase: await readPassphrase(options) },
    { signal: interruption.signal },
  );
  process.off("SIGINT", interrupt).off("SIGTERM", interrupt);

  const say = (line: string) => process.stderr.write(`${line}\n`);
  if (result.kind === "already") {
    say(`${name} is activated on this machine already (${result.members.join(", ")}).`);
    return;
  }
  say(`${name} is activated. Owner key: ${shellWord(result.ownerPath)}`);
  say(
    `  ${fingerprint(suite, parsePublicKeyLine(result.owner).blob)} (what others compare or give as ${name}=SHA256:...)`,
  );
  say("  Move that file off this machine: whoever has it speaks for the name, and sshnp does not need it again.");
  say(`This machine is ${role} ${member} of ${name}.`);
  say(role === "device" ? `Next: sshnpd -a ${name} -m @client -d ${member}` : `Next: sshnp ${name} @device mygateway`);
}

function connect(suite: CipherSuite, address: DirectoryAddress): DirectoryClient {
  return new DirectoryClient({ address, suite, random });
}

const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));

function givenDirectory(options: ActivateOptions): DirectoryAddress | undefined {
  const given = options.directory ?? (process.env["SSHNP_DIRECTORY"] || undefined);
  return given === undefined ? undefined : parseDirectoryAddress(given);
}

/** `HOST-client`: the first label of the host name, made to fit the grammar of members. */
export function clientMember(host: string): MemberName {
  const label = (host.split(".", 1)[0] ?? "")
    .toLowerCase()
    .replace(/[^a-z0-9]/g, "-")
    .slice(0, 29)
    .replace(/^-+/, "");
  const member = label === "" ? "this-client" : `${label}-client`;
  return isMember(member) ? member : parseMember("this-client");
}

async function readPassphrase(options: ActivateOptions): Promise<Secret | undefined> {
  const file = options.passphraseFile;
  if (file !== undefined) return await passphraseFromFile(file);
  if (options.passphrase !== true) return undefined;
  const first = await promptForPassphrase("Passphrase for the owner key: ");
  const second = await promptForPassphrase("The same once more: ");
  if (first.secretText() === second.secretText()) return first;
  throw new SetupError("E_PASSPHRASE", "The two differ.", { next: "Nothing was written; run this again." });
}
