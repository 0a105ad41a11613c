import { Command, CommanderError } from "commander";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { DeniedError } from "../../keys/errors.ts";
import { keysFolderPath } from "../../keys/keys-folder.ts";
import { hostName, isMember, isName, type MemberName, type Name, parseHostName, parseName } from "../../keys/names.ts";
import { fingerprint, parseFingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import type { PeerFile } from "../../keys/peer.ts";
import { forgetPeer, listPeers, readPeer, withAccepted, writePeer } from "../../keys/peer-files.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { memberOf } from "../../protocol/peers.ts";
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
    .description("list the pins, one a line: what, kind of key, fingerprint, since when and why, separated by tabs")
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
  for (const each of [command, ...command.commands]) each.exitOverride();
  try {
    await command.parseAsync(words, { from: "user" });
    return { status: 0, error: undefined };
  } catch (error) {
    // commander has told its own errors; help exits 0.
    if (error instanceof CommanderError) return { status: error.exitCode === 0 ? 0 : 2, error: undefined };
    throw error;
  }
}

interface Subject {
  readonly name: Name;
  /** Of a host; undefined for a name. */
  readonly member: MemberName | undefined;
}

async function list(keys: PrivateFolder): Promise<void> {
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  for (const peer of await listPeers(keys)) {
    const since = `${new Date(peer.since).toISOString().slice(0, 10)}, ${peer.origin}`;
    print([peer.name, "owner", fingerprintOf(suite, peer.owner), since]);
    for (const { member, hostKeys } of peer.members) {
      if (!isMember(member) || !isName(peer.name)) continue;
      const host = hostName({ name: peer.name, member });
      for (const line of hostKeys) print([host, parsePublicKeyLine(line).type, fingerprintOf(suite, line), ""]);
    }
    for (const accepted of peer.accepted) print([peer.name, "accepted", accepted, "for the next connect"]);
  }
}

async function accept(keys: PrivateFolder, subject: Subject, text: string): Promise<void> {
  const peer = await pinned(keys, subject);
  await writePeer(keys, withAccepted(peer, parseFingerprint(text)));
  say(`${nameOf(subject)} may come with ${text} at the next connect.`);
}

async function forget(keys: PrivateFolder, subject: Subject): Promise<void> {
  const peer = await pinned(keys, subject);
  const { name, member } = subject;
  for (const entry of peer.members) {
    const concerned = member === undefined || entry.member === member;
    if (concerned && isMember(entry.member)) await forgetKnownHosts(keys, { name, member: entry.member });
  }
  if (member === undefined) await forgetPeer(keys, name);
  else {
    // The member's own key stays pinned: it hangs on the owner's signature, not on the SSH server.
    const members = peer.members.map((entry) => (entry.member === member ? { ...entry, hostKeys: [] } : entry));
    await writePeer(keys, { ...peer, members });
  }
  say(`${nameOf(subject)} is forgotten; the next connect takes the keys that it then has.`);
}

/** @throws {DeniedError} E_UNKNOWN_NAME when nothing is pinned for it. */
async function pinned(keys: PrivateFolder, subject: Subject): Promise<PeerFile> {
  const peer = await readPeer(keys, subject.name);
  if (peer !== undefined && (subject.member === undefined || memberOf(peer, subject.member) !== undefined)) return peer;
  throw new DeniedError("E_UNKNOWN_NAME", `Nothing is pinned for ${nameOf(subject)}.`, {
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
