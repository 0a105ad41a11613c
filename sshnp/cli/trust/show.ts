import { Command, Option } from "commander";
import type { CipherSuite } from "../../../keys/cipher-suite.ts";
import { fingerprintWords } from "../../../keys/fingerprint-words.ts";
import { isoDay } from "../../../keys/iso-time.ts";
import { ownerCard } from "../../../keys/owner-card.ts";
import { listPins, type Subject } from "../../../keys/peer-files.ts";
import type { PrivateFolder } from "../../../keys/private-folder.ts";
import { printData } from "../../../keys/print-data.ts";
import { loadSuite } from "../../../protocol/suite/load.ts";
import { type PinnedKey, readPinnedKeys } from "../../pinned-keys.ts";
import { type FolderOption, openKeysFolder, withFolderOption } from "./keys-folder.ts";
import { pinsJson } from "./pins-json.ts";
import { notPinned, parseSubject } from "./subject.ts";

interface ShowOptions extends FolderOption {
  readonly json?: boolean;
  readonly qr?: boolean;
}

export function showCommand(): Command {
  return withFolderOption(new Command("show").argument("<host-or-name>"))
    .summary("show keys to compare, as fingerprint, words or QR code")
    .description("Show every key pinned for a name and its members, or for one of them: fingerprint and words.")
    .addOption(new Option("--json", "print it as JSON").conflicts("qr"))
    .option("--qr", "the owner key alone, with a QR code of @name=SHA256:...")
    .action((subject: string, options: ShowOptions) => show(parseSubject(subject), options));
}

async function show(subject: Subject, options: ShowOptions): Promise<void> {
  const folder = await openKeysFolder(options);
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const pins = await pinsOf(suite, folder, subject);
  await printData(await text(pins, subject, options));
}

/** The owner key first, then those of the member that was asked for, or of all. */
async function pinsOf(suite: CipherSuite, folder: PrivateFolder, { name, member }: Subject): Promise<PinnedKey[]> {
  const all = await listPins(folder);
  const wanted = all.filter((each) => each.name === name && (member === undefined || each.member === member));
  const subjects = member === undefined ? wanted : [{ name, member: undefined }, ...wanted];
  if (wanted.length === 0) throw notPinned({ name, member });
  const pins: PinnedKey[] = [];
  for (const each of subjects) pins.push(...(await readPinnedKeys(suite, folder, each)));
  return pins;
}

async function text(pins: readonly PinnedKey[], subject: Subject, { json, qr }: ShowOptions): Promise<string> {
  if (json === true) return await pinsJson(pins);
  if (qr === true) {
    const owner = pins.find(({ what }) => what === "owner");
    if (owner === undefined) throw notPinned({ name: subject.name, member: undefined });
    return await ownerCard(subject.name, owner.fingerprint);
  }
  const blocks = pins.map(
    async (pin) => `${heading(pin)}\n  ${pin.fingerprint}\n  ${await fingerprintWords(pin.fingerprint)}\n`,
  );
  return (await Promise.all(blocks)).join("");
}

function heading({ name, host, what, origin, since }: PinnedKey): string {
  const which: Readonly<Record<string, string>> = {
    owner: `owner key (${origin ?? ""}, since ${isoDay(since ?? 0)})`,
    noise: "key for handshakes (X25519)",
    signing: "key for signatures (Ed25519)",
    accepted: "accepted for the next connect",
  };
  return `${host ?? name}: ${which[what] ?? `SSH host key (${what})`}`;
}
