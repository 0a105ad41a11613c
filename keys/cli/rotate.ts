import { Command } from "commander";
import { fingerprintWords } from "../fingerprint-words.ts";
import { SetupError } from "../errors.ts";
import { fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { parseOwnerKey } from "../owner-signer.ts";
import { askNewPassphrase, newPassphraseFromFile } from "../passphrase.ts";
import type { Secret } from "../secret.ts";
import { shellWord } from "../shell-word.ts";
import { demandYes } from "./ask-yes.ts";
import { ownerInAgent } from "./owner-in-agent.ts";
import { type OwnerOptions, ownerOptions, OwnerWork } from "./owner-work.ts";
import { finishRotation, type Rotated, rotate } from "./rotation.ts";
import { say } from "./say.ts";

interface RotateOptions extends OwnerOptions {
  readonly to?: string;
  readonly passphrase?: boolean;
  readonly passphraseFile?: string;
  readonly removeOld?: boolean;
  readonly yes?: boolean;
}

/** `sshnp-keys rotate` */
export function rotateCommand(): Command {
  return ownerOptions(new Command("rotate"))
    .description("Hand a name on from its owner key to another one, with all that counts.")
    .argument("<name>", "the name, such as @acme")
    .option("--to <key>", "agent:SHA256:..., a key in ssh-agent, also one on a FIDO2 token; without it, a new file")
    .option(
      "--passphrase",
      "ask for a passphrase that guards the new key; else that of the old one does, if it has one",
    )
    .option("--passphrase-file <file>", "the first line of a file is that passphrase")
    .option("--remove-old", "remove the file of the old key; without it, it is kept beside, and speaks for nobody")
    .option("--yes", "do not ask")
    .addHelpText(
      "after",
      `
The old key signs that the new one speaks for the name from now on. The new one then says again what is to go on: members,
fleet tokens, the policy, and who is revoked. Whoever knows the old key accepts the new one by that; the old one is refused.
Cut off at any moment, the same command goes on where it was.

Examples:
  sshnp-keys rotate @acme
  sshnp-keys rotate @acme --to agent:SHA256:...
  sshnp-keys rotate @acme --owner-key agent:SHA256:... --passphrase`,
    )
    .action((name: string, options: RotateOptions) => run(name, options));
}

async function run(name: string, options: RotateOptions): Promise<void> {
  const work = await OwnerWork.open(name, options);
  const { suite, signal } = work;
  const { to } = options;
  if (to !== undefined && (options.passphrase === true || options.passphraseFile !== undefined)) {
    throw new SetupError("E_USAGE", "A passphrase guards a key in a file, and with --to there is none.", {
      next: "Give one of the two.",
    });
  }
  if (options.yes !== true) {
    say(
      `A new owner key takes the place of that of ${name}. The old key is refused from then on, and so are its backups.`,
    );
    await demandYes(work, "the rotation", "If that is meant, give --yes.");
  }
  const rotated = await rotate(work, {
    agent: to === undefined ? undefined : await ownerInAgent(suite, parseOwnerKey(to), { signal }),
    newPassphrase: await newPassphrase(options, signal),
    removesOld: options.removeOld === true,
  });
  await tell(work, rotated, options);
  await finishRotation(work);
}

/** Undefined when nobody asks for one. One in a file is read at once: if it will not do, nothing need be opened. */
async function newPassphrase(
  options: RotateOptions,
  signal: AbortSignal,
): Promise<(() => Promise<Secret>) | undefined> {
  const { passphraseFile, passphrase } = options;
  if (passphraseFile !== undefined) {
    const given = await newPassphraseFromFile(passphraseFile, { signal });
    return () => Promise.resolve(given);
  }
  if (passphrase !== true) return undefined;
  return () => askNewPassphrase("Passphrase for the new owner key: ", { signal });
}

async function tell({ suite, name }: OwnerWork, rotated: Rotated, { keys }: RotateOptions): Promise<void> {
  const of = (line: string) => fingerprint(suite, parsePublicKeyLine(line).blob);
  const owned = of(rotated.owner);
  say(
    `${name} is handed on. Owner key: ${rotated.ownerPath === undefined ? `agent:${owned}` : shellWord(rotated.ownerPath)}`,
  );
  say(`  ${owned}   for others to compare, or to give as ${name}=SHA256:...`);
  say(`  ${await fingerprintWords(owned)}   the same in words`);
  if (rotated.former !== undefined) {
    say(`Whoever knows ${of(rotated.former)} accepts the new key by its rotation; the old key is refused from now on.`);
  }
  say(`Said again by the new key: ${rotated.saidAgain}.`);
  if (rotated.formerPath !== undefined) {
    say(`The old key is kept in ${shellWord(rotated.formerPath)}, and speaks for nobody.`);
  }
  if (rotated.ownerPath === undefined) return;
  const folder = keys === undefined ? "" : ` --keys ${shellWord(keys)}`;
  say(`Backups of the old key restore nothing now: sshnp-keys backup ${name} FILE${folder}`);
}
