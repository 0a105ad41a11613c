import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { Command } from "commander";
import { DirectoryClient } from "../../directory/client.ts";
import {
  type DirectoryAddress,
  directoryInEnvironment,
  parseDirectoryAddress,
} from "../../protocol/directory-address.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import type { CipherSuite, RandomBytes } from "../cipher-suite.ts";
import { readCramSecret } from "../cram-secret.ts";
import { SetupError } from "../errors.ts";
import { fingerprintWords } from "../fingerprint-words.ts";
import { keysFolderPath } from "../keys-folder.ts";
import { clientMember, parseMember, parseName } from "../names.ts";
import { fingerprint, type PublicKeyLine, parsePublicKeyLine } from "../openssh.ts";
import { type OwnerKeyInAgent, parseOwnerKey } from "../owner-signer.ts";
import { askNewPassphrase, askPassphrase, newPassphraseFromFile, passphraseFromFile } from "../passphrase.ts";
import type { Secret } from "../secret.ts";
import { shellWord } from "../shell-word.ts";
import { activate, type ActivationRequest, type ActivationResult } from "./activation.ts";
import type { Wanted } from "./activation-keys.ts";
import { ownerInAgent } from "./owner-in-agent.ts";
import { interruption } from "../interruption.ts";
import { nextStep } from "./next-step.ts";

interface ActivateOptions {
  readonly atsign: string;
  readonly cramSecret?: string;
  readonly cramFile?: string;
  readonly directory?: string;
  readonly device?: string;
  readonly keys?: string;
  readonly ownerKey?: string;
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
    .option(
      "--owner-key <key>",
      "agent:SHA256:..., a key in ssh-agent, also one on a FIDO2 token; without it, a new file",
    )
    .option("--passphrase", "ask for a passphrase that guards the owner key, of 8 characters at least")
    .option("--passphrase-file <file>", "the first line of a file is that passphrase")
    .addHelpText(
      "after",
      `
The secret comes from whoever runs the directory: sshnp-directory name add @acme --data DIR
It is never sent: it proves, over a nonce of the directory's, that these keys may become @acme's.
Running it again is harmless; an answer that was lost is asked for again.
An owner key in ssh-agent (SSH_AUTH_SOCK; ssh-add -l lists them) is Ed25519: ssh-keygen -t ed25519, or -t ed25519-sk for
one on a FIDO2 token, which is touched three times. It stays where it is; keep it safe, for no copy of it is made.

Exit status: 0 activated, now or before; 2 usage; 77 the secret is wrong; 78 not activated; others with a message.

Examples:
  sshnp-keys activate -a @device -c SECRET --directory 'http://np.example.org:7800#SHA256:...' -d mygateway
  sshnp-keys activate -a @client --cram-file secret.txt --directory 'http://np.example.org:7800#SHA256:...'
  sshnp-keys activate -a @client -c SECRET --directory 'http://np.example.org:7800#SHA256:...' --owner-key agent:SHA256:...`,
    )
    .action((options: ActivateOptions) => run(options));
}

async function run(options: ActivateOptions): Promise<void> {
  const wanted = whoIsWanted(options);
  const ownerKey = givenOwnerKey(options);
  const directory = givenDirectory(options);
  const path = keysFolderPath(options.keys, process.env);
  const signal = interruption();
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const request: ActivationRequest = {
    ...wanted,
    secret: await readCramSecret(options, process.env, { signal }),
    directory,
    path,
    ownerKey: ownerKey && { ...ownerKey, signer: () => ownerInAgent(suite, ownerKey, { signal }) },
    newPassphrase: () => newPassphrase(options, signal),
    askPassphrase: (file) => passphraseOf(file, options, signal),
  };
  const connect = (address: DirectoryAddress) => new DirectoryClient({ address, suite, random });
  await tell(suite, wanted, await activate({ suite, random, connect }, request, { signal }), options);
}

const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));

function whoIsWanted({ atsign, device }: ActivateOptions): Wanted {
  const name = parseName(atsign);
  if (device === undefined) return { name, member: clientMember(hostname()), role: "client" };
  return { name, member: parseMember(device), role: "device" };
}

function givenDirectory(options: ActivateOptions): DirectoryAddress | undefined {
  const given = options.directory;
  return given === undefined ? directoryInEnvironment(process.env) : parseDirectoryAddress(given);
}

function givenOwnerKey({ ownerKey, passphrase, passphraseFile }: ActivateOptions): OwnerKeyInAgent | undefined {
  if (ownerKey === undefined) return undefined;
  const key = parseOwnerKey(ownerKey);
  if (passphrase !== true && passphraseFile === undefined) return key;
  throw new SetupError("E_USAGE", "A passphrase guards the file of an owner key, and with --owner-key there is none.", {
    next: "Give one of the two.",
  });
}

async function newPassphrase(options: ActivateOptions, signal: AbortSignal): Promise<Secret | undefined> {
  if (options.passphraseFile !== undefined) return await newPassphraseFromFile(options.passphraseFile, { signal });
  if (options.passphrase !== true) return undefined;
  return await askNewPassphrase("Passphrase for the owner key: ", { signal });
}

async function passphraseOf(file: string, options: ActivateOptions, signal: AbortSignal): Promise<Secret> {
  if (options.passphraseFile !== undefined) return await passphraseFromFile(options.passphraseFile, { signal });
  return await askPassphrase(file, { signal });
}

async function tell(
  suite: CipherSuite,
  { name }: Wanted,
  result: ActivationResult,
  options: ActivateOptions,
): Promise<void> {
  if (result.kind === "already") {
    const members = result.members.map(({ member, role }) => (role === undefined ? member : `${role} ${member}`));
    return say(`${name} is activated on this machine already: ${members.join(", ")}.`);
  }
  const { owner, member, role } = result.member;
  const key = parsePublicKeyLine(owner);
  const owned = fingerprint(suite, key.blob);
  say(
    `${name} is activated. Owner key: ${result.ownerPath === undefined ? `agent:${owned}` : shellWord(result.ownerPath)}`,
  );
  say(`  ${owned}   for others to compare, or to give as ${name}=SHA256:...`);
  say(`  ${await fingerprintWords(owned)}   the same in words`);
  say(`  ${keepingSafe(key, result)}`);
  say(`This machine is ${role} ${member} of ${name}.`);
  for (const line of nextStep(result.member, options.keys)) say(line);
}

function keepingSafe({ type }: PublicKeyLine, { ownerPath, member }: Activated): string {
  if (ownerPath !== undefined) {
    return member.role === "device"
      ? "Move that file off this machine: whoever has it speaks for the name, and sshnpd does not need it again."
      : "Keep that file safe, best off this machine: whoever has it speaks for the name, and sshnp does not need it.";
  }
  return type === "ssh-ed25519"
    ? "No copy of it was made: keep its file safe, for whoever has it speaks for the name, and without it nobody does."
    : "It is on the token alone: whoever can use that speaks for the name, and without it nobody does.";
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

type Activated = Extract<ActivationResult, { readonly kind: "activated" }>;
