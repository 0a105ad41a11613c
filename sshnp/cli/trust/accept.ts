import { Command } from "commander";
import { SecurityError } from "../../../keys/errors.ts";
import { compareWords, FINGERPRINT_WORDS, fingerprintWords } from "../../../keys/fingerprint-words.ts";
import { type Fingerprint, parseFingerprint } from "../../../keys/openssh.ts";
import { withAccepted } from "../../../keys/peer.ts";
import { lockPins, readPins, type Subject, writePins } from "../../../keys/peer-files.ts";
import type { PrivateFolder } from "../../../keys/private-folder.ts";
import { type FolderOption, openKeysFolder, withFolderOption } from "./keys-folder.ts";
import { say } from "./say.ts";
import { notPinned, parseSubject, subjectText } from "./subject.ts";

export function acceptCommand(): Command {
  return withFolderOption(new Command("accept"))
    .argument("<host-or-name>")
    .argument("<fingerprint>")
    .argument("[words...]", "its words, as you heard them")
    .summary("let one new key in at the next connect")
    .description(
      `Let this one new key in at the next connect; if its ${FINGERPRINT_WORDS} words are given too, only if they are ` +
        "those of the fingerprint.",
    )
    .action(async (text: string, key: string, words: readonly string[], options: FolderOption) => {
      const subject = parseSubject(text);
      const accepted = parseFingerprint(key);
      if (words.length > 0) await refuseOtherWords(subject, accepted, words);
      await accept(await openKeysFolder(options), subject, accepted);
      const compared = words.length > 0 ? "The words are its own." : `In words: ${await fingerprintWords(accepted)}`;
      say(`${subjectText(subject)} may come with ${accepted} at the next connect. ${compared}`);
    });
}

/** What is accepted for a host is a host key of that host, and what is accepted for a name its owner key. */
async function accept(keys: PrivateFolder, subject: Subject, accepted: Fingerprint): Promise<void> {
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
}

async function refuseOtherWords(subject: Subject, key: Fingerprint, words: readonly string[]): Promise<void> {
  const differing = await compareWords(key, words);
  if (differing.length === 0) return;
  const code = subject.member === undefined ? "E_OWNER_KEY" : "E_HOST_KEY";
  const which = differing.length === 1 ? `number ${differing[0]} differs` : `numbers ${differing.join(", ")} differ`;
  throw new SecurityError(code, `Those are not the words of ${key}: ${which}. Nothing is accepted.`, {
    next: "Have them read to you once more. If they differ still, the key that came here is not the one there: do not go on.",
  });
}
