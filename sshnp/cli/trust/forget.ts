import { Command } from "commander";
import { listPins, lockPins, readPins, removePin, type Subject, writePins } from "../../../keys/peer-files.ts";
import type { PrivateFolder } from "../../../keys/private-folder.ts";
import { forgetKnownHosts } from "../../pins.ts";
import { type FolderOption, openKeysFolder, withFolderOption } from "./keys-folder.ts";
import { say } from "./say.ts";
import { notPinned, parseSubject, subjectText } from "./subject.ts";

export function forgetCommand(): Command {
  return withFolderOption(new Command("forget").argument("<host-or-name>"))
    .summary("forget what is pinned")
    .description(
      "Forget the SSH host keys of a host, or all of a name; the next connect takes the keys that it then has.",
    )
    .action(async (text: string, options: FolderOption) => {
      const subject = parseSubject(text);
      await forget(await openKeysFolder(options), subject);
      say(`${subjectText(subject)} is forgotten; the next connect takes the keys that it then has.`);
    });
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
}

/** The member's own key stays pinned: it hangs on the owner's signature, not on the SSH server. */
async function forgetHostKeys(keys: PrivateFolder, subject: Subject): Promise<void> {
  const pins = await readPins(keys, subject);
  if (pins.member === undefined) return;
  await writePins(keys, pins, { ...pins, member: { ...pins.member, hostKeys: [], accepted: [] } });
}
