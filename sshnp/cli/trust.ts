import { Command, CommanderError } from "commander";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { tellUsageErrorsAsOurs } from "../../keys/command-line.ts";
import { DeniedError } from "../../keys/errors.ts";
import { keysFolderPath } from "../../keys/keys-folder.ts";
import { hostName, parseHostName, parseName } from "../../keys/names.ts";
import { fingerprint, parseFingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import { withAccepted } from "../../keys/peer.ts";
import { listPins, lockPins, readPins, removePin, type Subject, writePins } from "../../keys/peer-files.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { parseKeysFolder } from "../command-line.ts";
import { noClientKeys } from "../refusal-texts.ts";
import { forgetKnownHosts } from "../pins.ts";
import type { CommandEnd } from "../ssh-process.ts";

/** `sshnp trust ...`: looks at the pins and changes them. */
export async function trust(words: readonly string[]): Promise<CommandEnd> {
  const command = new Command("sshnp trust")
    .description("The keys that this machine holds its peers to: owner keys of names, SSH host keys of devices.")
    .addHelpText("after", "\nHOST is a device such as mygateway.device.np, NAME a name such as @device.");
  const folder = (verb: Command): Command =>
    verb.option("--keys <folder>", "the keys folder (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)");
  folder(command.command("ls"))
    .description(
      "list the pins, one a line: what, kind of key, fingerprint, and for owner keys since when and why, separated by tabs",
    )
    .action(async ({ keys }: { readonly keys?: string }) => list(await openFolder(keys)));
  folder(command.command("accept <host-or-name> <fingerprint>"))
    .description("let this one new key in at the next connect")
    .action(async (subject: string, text: string, { keys }: { readonly keys?: string }) =>
      accept(await openFolder(keys), parseSubject(subject), text),
    );
  folder(command.command("forget <host-or-name>"))
    .description("forget the pin; the next connect is a first contact")
    .action(async (subject: string, { keys }: { readonly keys?: string }) =>
      forget(await openFolder(keys), parseSubject(subject)),
    );
  tellUsageErrorsAsOurs(command);
  try {
    await command.parseAsync(words, { from: "user" });
    return { status: 0, error: undefined };
  } catch (error) {
    // The help was printed, because it was asked for or because nothing was.
    if (error instanceof CommanderError) return { status: error.exitCode === 0 ? 0 : 2, error: undefined };
    throw error;
  }
}

async function list(keys: PrivateFolder): Promise<void> {
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  for (const subject of await listPins(keys)) {
    const { owner, member } = await readPins(keys, subject);
    const pin = subject.member === undefined ? owner : member;
    if (pin === undefined) continue; // forgotten meanwhile
    if ("hostKeys" in pin) {
      for (const line of pin.hostKeys) {
        print([nameOf(subject), parsePublicKeyLine(line).type, fingerprintOf(suite, line), ""]);
      }
    } else {
      const since = `${new Date(pin.since).toISOString().slice(0, 10)}, ${pin.origin}`;
      print([nameOf(subject), "owner", fingerprintOf(suite, pin.owner), since]);
    }
    for (const accepted of pin.accepted) print([nameOf(subject), "accepted", accepted, "for the next connect"]);
  }
}

/** What is accepted for a host is a host key of that host, and what is accepted for a name its owner key. */
async function accept(keys: PrivateFolder, subject: Subject, text: string): Promise<void> {
  const accepted = parseFingerprint(text);
  await lockPins(keys, async () => {
    const pins = await readPins(keys, subject);
    const { owner, member } = pins;
    if (subject.member === undefined) {
      if (owner === undefined) throw notPinned(subject);
      await writePins(keys, pins, { ...pins, owner: withAccepted(owner, accepted) });
    } else {
      if (member === undefined) throw notPinned(subject);
      await writePins(keys, pins, { ...pins, member: withAccepted(member, accepted) });
    }
  });
  say(`${nameOf(subject)} may come with ${text} at the next connect.`);
}

async function forget(keys: PrivateFolder, subject: Subject): Promise<void> {
  const { name, member } = subject;
  await lockPins(keys, async () => {
    const pinned = (await listPins(keys)).filter(
      (other) => other.name === name && (member === undefined || other.member === member),
    );
    if (pinned.length === 0) throw notPinned(subject);
    // The name comes last, so that no member outlives it if this is broken off.
    for (const each of pinned.toReversed()) {
      if (each.member !== undefined) await forgetKnownHosts(keys, { name, member: each.member });
      if (member === undefined) await removePin(keys, each);
      else await forgetHostKeys(keys, each);
    }
  });
  say(`${nameOf(subject)} is forgotten; the next connect takes the keys that it then has.`);
}

/** The member's own key stays pinned: it hangs on the owner's signature, not on the SSH server. */
async function forgetHostKeys(keys: PrivateFolder, subject: Subject): Promise<void> {
  const pins = await readPins(keys, subject);
  if (pins.member === undefined) return;
  await writePins(keys, pins, { ...pins, member: { ...pins.member, hostKeys: [], accepted: [] } });
}

function notPinned(subject: Subject): DeniedError {
  return new DeniedError("E_UNKNOWN_NAME", `Nothing is pinned for ${nameOf(subject)}.`, {
    next: "See what is: sshnp trust ls",
  });
}

function parseSubject(text: string): Subject {
  return text.startsWith("@") ? { name: parseName(text), member: undefined } : parseHostName(text);
}

function nameOf({ name, member }: Subject): string {
  return member === undefined ? name : hostName({ name, member });
}

async function openFolder(flag: string | undefined): Promise<PrivateFolder> {
  const path = parseKeysFolder(keysFolderPath(flag, process.env));
  const folder = await PrivateFolder.open(path);
  if (folder === undefined) throw noClientKeys(undefined, path);
  return folder;
}

function fingerprintOf(suite: CipherSuite, line: string): string {
  return fingerprint(suite, parsePublicKeyLine(line).blob);
}

function print(columns: readonly string[]): void {
  process.stdout.write(`${columns.join("\t")}\n`);
}

function say(text: string): void {
  process.stderr.write(`sshnp: ${text}\n`);
}
