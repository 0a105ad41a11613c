import * as v from "valibot";
import type { Past } from "../../protocol/name-account.ts";
import { SecurityError } from "../errors.ts";
import type { Name } from "../names.ts";
import type { PrivateFolder } from "../private-folder.ts";
import { readState, writeState } from "../state-files.ts";

/*
 * How far the statements about a name have come, as its owner's machine has seen it. The log proves that a statement is the
 * newest that the directory names; that it is not one from before its owner's last word, nobody but he can know.
 */

/** The highest number seen on each subject. */
export const statedSchema: v.GenericSchema<{ v: 1; newest: [string, number][] }> = v.strictObject({
  v: v.literal(1),
  newest: v.array(v.strictTuple([v.string(), v.pipe(v.number(), v.safeInteger(), v.minValue(1))])),
});

/**
 * Demands that nothing of what is there has gone back behind what was seen, and remembers how far it is now.
 * @throws {SecurityError} E_LOG when the directory gives an older statement, or none, where a newer one was; {SetupError} E_STORAGE.
 */
export async function demandNothingOlder(
  folder: PrivateFolder,
  name: Name,
  there: readonly Pick<Past, "subject" | "seq">[],
): Promise<void> {
  const now = highest(there);
  for (const [subject, seen] of (await readState(folder, fileOf(name), statedSchema))?.newest ?? []) {
    const seq = now.get(subject) ?? 0;
    if (seq >= seen) continue;
    throw new SecurityError(
      "E_LOG",
      `The directory gives ${seq === 0 ? "no statement" : `statement ${seq}`} on ${subject}; number ${seen} was there before.`,
      {
        next: "Who was revoked since may count again. Ask whoever runs the directory whether it was restored from a backup.",
      },
    );
  }
  await remember(folder, name, now);
}

/** Remembers statements that the directory has just proved to be the newest. @throws {SetupError} E_STORAGE. */
export async function rememberStated(
  folder: PrivateFolder,
  name: Name,
  stated: readonly Pick<Past, "subject" | "seq">[],
): Promise<void> {
  const before = (await readState(folder, fileOf(name), statedSchema))?.newest ?? [];
  const all = [...before.map(([subject, seq]) => ({ subject, seq })), ...stated];
  await remember(folder, name, highest(all));
}

async function remember(folder: PrivateFolder, name: Name, newest: ReadonlyMap<string, number>): Promise<void> {
  const before = JSON.stringify((await readState(folder, fileOf(name), statedSchema))?.newest);
  const after: [string, number][] = [...newest].sort(([a], [b]) => (a < b ? -1 : 1));
  if (before !== JSON.stringify(after)) await writeState(folder, fileOf(name), statedSchema, { v: 1, newest: after });
}

function highest(stated: readonly Pick<Past, "subject" | "seq">[]): Map<string, number> {
  const newest = new Map<string, number>();
  for (const { subject, seq } of stated) newest.set(subject, Math.max(seq, newest.get(subject) ?? 0));
  return newest;
}

function fileOf(name: Name): string {
  return `stated.${name}.json`;
}
