import { randomBytes } from "node:crypto";
import { Command, Option } from "commander";
import { DirectoryClient } from "../../directory/client.ts";
import { directoryInEnvironment, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import type { RandomBytes } from "../cipher-suite.ts";
import { parseFleetToken, parseOneTimePassword } from "../enrolment-secrets.ts";
import { SetupError } from "../errors.ts";
import { fingerprintWords } from "../fingerprint-words.ts";
import { firstLine, firstLineOfFile } from "../first-line.ts";
import { keysFolderPath } from "../keys-folder.ts";
import { type Name, parseMember, parseName } from "../names.ts";
import { type Fingerprint, parseFingerprint } from "../openssh.ts";
import { minute } from "../table.ts";
import { askHidden, isTerminal } from "../terminal.ts";
import { enrol, type Enrolled, type Enrolling } from "./enrolment.ts";
import { interruption } from "../interruption.ts";
import { nextStep } from "./next-step.ts";
import { say } from "./say.ts";

interface EnrollOptions {
  readonly device?: boolean;
  readonly otp?: string;
  readonly token?: string;
  readonly directory?: string;
  readonly keys?: string;
  readonly wait?: boolean;
}

/** `sshnp-keys enroll` */
export function enrollCommand(): Command {
  return new Command("enroll")
    .description("Make this machine a further member of a name, with keys of its own.")
    .argument("<name>", "the name, such as @acme; @acme=SHA256:... compares its owner key")
    .argument("<member>", "what this machine is to be called under it, such as gw7")
    .option("-d, --device", "as a device; without it, as a client")
    .addOption(
      new Option(
        "--otp <password>",
        "the one-time password that the owner has given; - reads it from stdin (else SSHNP_OTP)",
      ).conflicts("token"),
    )
    .option("--token <file>", "a file with a fleet token; - reads it from stdin")
    .option("--directory <address>", "http(s)://HOST:PORT#SHA256:... (else SSHNP_DIRECTORY)")
    .option("--wait", "wait until the owner has approved")
    .option("--keys <folder>", "where the keys go (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)")
    .addHelpText(
      "after",
      `
With a one-time password (sshnp-keys otp) this machine asks, and shows a code of 80 bits. The owner sees the same code where he
approves: compare them. With a fleet token (sshnp-keys delegate) it is a member at once, and nobody need be there.
A one-time password that stands on the command line can be read by everybody on this machine: give - and type it.
Its keys are made here and go nowhere. Running it again is harmless, and goes on where the last one stopped.

Exit status: 0 a member, now or before; 75 the owner has not decided yet; 77 refused; others with a message.

Examples:
  sshnp-keys enroll @acme=SHA256:... laptop2 --otp - --directory 'http://np.example.org:7800#SHA256:...'
  sshnp-keys enroll @device gw7 -d --token /etc/fleet-token --directory 'http://np.example.org:7800#SHA256:...'`,
    )
    .action((name: string, member: string, options: EnrollOptions) => run(name, member, options));
}

async function run(nameText: string, memberText: string, options: EnrollOptions): Promise<void> {
  const signal = interruption();
  const given = options.directory;
  const enrolling: Enrolling = {
    ...givenName(nameText),
    member: parseMember(memberText),
    role: options.device === true ? "device" : "client",
    directory: given === undefined ? directoryInEnvironment(process.env) : parseDirectoryAddress(given),
    path: keysFolderPath(options.keys, process.env),
    isWaiting: options.wait === true,
    secret: await givenSecret(options, signal),
  };
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const { name, member } = enrolling;
  const enrolled = await enrol(
    { suite, random, connect: (address, log) => new DirectoryClient({ address, suite, random, log }) },
    enrolling,
    {
      signal,
      onPending: (code, until) => {
        say(`${member} of ${name} waits for its owner, until ${minute(until)}. Code to compare: ${code}`);
        say(`Where the owner key is: sshnp-keys approve ${name} ${member}`);
      },
    },
  );
  await tell(enrolled, enrolling, options);
}

const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));

function givenName(text: string): { readonly name: Name; readonly owner: Fingerprint | undefined } {
  const [name = "", ...fingerprint] = text.split("=");
  return {
    name: parseName(name),
    owner: fingerprint.length === 0 ? undefined : parseFingerprint(fingerprint.join("=")),
  };
}

async function givenSecret({ otp, token }: EnrollOptions, signal: AbortSignal): Promise<Enrolling["secret"]> {
  if (token !== undefined) {
    if (/^[0-9a-f]{64}$/i.test(token)) throw tokenAsWord();
    const text =
      token === "-" ? await fromStdin("The fleet token: ", signal) : await firstLineOfFile(token, { signal });
    return { kind: "token", secret: parseFleetToken(text) };
  }
  const given = otp ?? process.env["SSHNP_OTP"] ?? "";
  if (given === "") return undefined;
  const text = given === "-" ? await fromStdin("The one-time password: ", signal) : given;
  return { kind: "password", secret: parseOneTimePassword(text) };
}

/** As a file's name it would be repeated, and so come into logs. */
function tokenAsWord(): SetupError {
  return new SetupError("E_USAGE", "--token takes a file, or - for stdin, and not the token itself.", {
    next: "Everybody on this machine can read a command line: write the token to a file, or give --token - and type it.",
  });
}

async function fromStdin(question: string, signal: AbortSignal): Promise<string> {
  return isTerminal() ? await askHidden(question, { signal }) : await firstLine(process.stdin, "stdin", { signal });
}

async function tell(enrolled: Enrolled, { owner }: Enrolling, options: EnrollOptions): Promise<void> {
  const { member: keys, ownerFingerprint, isBefore } = enrolled;
  const { name, member, role } = keys;
  say(`This machine is ${role} ${member} of ${name}${isBefore ? " already" : ""}.`);
  if (owner === undefined) {
    say(`Its owner key was not compared with anybody: ${ownerFingerprint}`);
    say(`  ${await fingerprintWords(ownerFingerprint)}   the same in words`);
  }
  for (const line of nextStep(keys, options.keys)) say(line);
}
