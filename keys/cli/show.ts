import { Command, Option } from "commander";
import { loadSuite } from "../../protocol/suite/load.ts";
import { SetupError } from "../errors.ts";
import { fingerprintWords } from "../fingerprint-words.ts";
import { isoDay, isoTime } from "../iso-time.ts";
import { keysFolderPath } from "../keys-folder.ts";
import { type Name, parseName } from "../names.ts";
import type { Fingerprint } from "../openssh.ts";
import { ownerArgument, ownerCard } from "../owner-card.ts";
import { PrivateFolder } from "../private-folder.ts";
import { printData } from "../print-data.ts";
import { printable } from "../print-error.ts";
import { printableJson } from "../printable-json.ts";
import { shellWord } from "../shell-word.ts";
import { type OwnKeys, type OwnMember, readOwnKeys } from "./own-keys.ts";

interface ShowOptions {
  readonly keys?: string;
  readonly json?: boolean;
  readonly qr?: boolean;
}

/** `sshnp-keys show` */
export function showCommand(): Command {
  return new Command("show")
    .description("Show the public half of a name of one's own: owner key, and the members in this folder.")
    .argument("<name>", "the name, such as @acme")
    .addOption(new Option("--json", "print it as JSON").conflicts("qr"))
    .option("--qr", "the owner key alone, with a QR code of @name=SHA256:...")
    .option("--keys <folder>", "where the keys are (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)")
    .addHelpText(
      "after",
      `
For others to compare, by fingerprint or by words, or to give to sshnp and sshnpd as @name=SHA256:...
No passphrase is asked for: of a file that one guards, nothing but its place is shown.`,
    )
    .action((name: string, options: ShowOptions) => show(parseName(name), options));
}

async function show(name: Name, options: ShowOptions): Promise<void> {
  const path = keysFolderPath(options.keys, process.env);
  const folder = await PrivateFolder.open(path);
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const keys = folder === undefined ? undefined : await readOwnKeys(suite, folder, name);
  if (keys === undefined) throw noKeys(name, path);
  if (options.qr === true) {
    if (keys.owner === undefined) throw allGuarded(name, path);
    await printData(await ownerCard(name, keys.owner));
  } else {
    await printData(options.json === true ? await json(name, keys) : await text(name, keys));
  }
}

async function text(name: Name, { owner, ownerFile, members }: OwnKeys): Promise<string> {
  const lines = [`${name}: owner key`];
  if (owner === undefined) lines.push("  not known here without a passphrase");
  else lines.push(...(await fingerprintLines(owner)));
  lines.push(ownerFile === undefined ? "  its file is not in this folder" : fileLine(ownerFile));
  for (const member of members) lines.push(...(await memberLines(name, member)));
  return lines.map((line) => `${printable(line)}\n`).join("");
}

async function memberLines(name: Name, { member, path, isGuarded, known }: OwnMember): Promise<string[]> {
  const file = fileLine({ path, isGuarded });
  if (known === undefined) return [`${member} of ${name}: member`, file];
  const { role, expires, directory, noise, signing } = known;
  return [
    `${member} of ${name}: ${role}, ${bindingText(expires)}`,
    file,
    `  at ${directory}`,
    "  key for handshakes (X25519)",
    ...(await fingerprintLines(noise)),
    "  key for signatures (Ed25519)",
    ...(await fingerprintLines(signing)),
  ];
}

function bindingText(expires: number | undefined): string {
  if (expires === undefined) return "its binding has no end";
  return `its binding ${expires <= Date.now() ? "ended" : "ends"} ${isoDay(expires)}`;
}

async function fingerprintLines(fingerprint: Fingerprint): Promise<string[]> {
  return [`  ${fingerprint}`, `  ${await fingerprintWords(fingerprint)}`];
}

function fileLine({ path, isGuarded }: { readonly path: string; readonly isGuarded: boolean }): string {
  return `  ${shellWord(path)}${isGuarded ? " (guarded by a passphrase, not opened)" : ""}`;
}

/** docs/trust.md has the fields. */
async function json(name: Name, { owner, ownerFile, members }: OwnKeys): Promise<string> {
  const withWords = async (fingerprint: Fingerprint): Promise<object> => {
    return { fingerprint, words: await fingerprintWords(fingerprint) };
  };
  const shown = {
    name,
    owner: owner === undefined ? null : { ...(await withWords(owner)), argument: ownerArgument(name, owner) },
    ownerFile: ownerFile === undefined ? null : { path: ownerFile.path, guarded: ownerFile.isGuarded },
    members: await Promise.all(
      members.map(async ({ member, path, isGuarded, known }) => ({
        member,
        role: known?.role ?? null,
        path,
        guarded: isGuarded,
        directory: known?.directory ?? null,
        expires: known?.expires === undefined ? null : isoTime(known.expires),
        noise: known === undefined ? null : await withWords(known.noise),
        signing: known === undefined ? null : await withWords(known.signing),
      })),
    ),
  };
  return printableJson(shown);
}

function noKeys(name: Name, path: string): SetupError {
  return new SetupError("E_NO_KEYS", `No keys of ${name} on this machine (looked in ${shellWord(path)}).`, {
    next: `Elsewhere? Say where: sshnp-keys show ${name} --keys DIR   Somebody else's? sshnp trust show ${name}`,
  });
}

function allGuarded(name: Name, path: string): SetupError {
  return new SetupError("E_PASSPHRASE", `A passphrase guards every key file of ${name} in ${shellWord(path)}.`, {
    next: `Run it where a member has a file without one; or ask a peer: sshnp trust show ${name} --qr`,
  });
}
