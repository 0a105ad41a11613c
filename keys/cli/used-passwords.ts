import { join } from "node:path";
import * as v from "valibot";
import { type PendingEnrolment, verifyOneTimePassword } from "../../protocol/enrolment.ts";
import { ENROLMENT_MS, PASSWORDS_PER_NAME } from "../../protocol/limits.ts";
import { concat, hex, utf8 } from "../bytes.ts";
import type { CipherSuite } from "../cipher-suite.ts";
import { SetupError, UnavailableError } from "../errors.ts";
import { holdFile } from "../held-file.ts";
import type { Name } from "../names.ts";
import { PrivateFolder } from "../private-folder.ts";
import { readState, writeState } from "../state-files.ts";

/*
 * One password, one machine: the directory promises it, and the machine on which the owner approves holds it to that, over
 * all runs, until nobody can come back with the password.
 */

const hash = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

/** Of each: SHA-256 of its text; SHA-256 of the keys it let in, null when their owner sent them away; until when it counts, ms. */
export const usedPasswordsSchema: v.GenericSchema<{ v: 1; passwords: [string, string | null, number][] }> =
  v.strictObject({
    v: v.literal(1),
    passwords: v.pipe(
      v.array(v.strictTuple([hash, v.nullable(hash), v.pipe(v.number(), v.safeInteger(), v.minValue(0))])),
      v.maxLength(PASSWORDS_PER_NAME),
    ),
  });

interface Owner {
  readonly suite: CipherSuite;
  readonly folder: PrivateFolder;
  readonly name: Name;
}

/**
 * Uses up the password of a pending enrolment, to let that machine in or to send it away. Whether it may be let in: not when
 * another machine was with the same password, or this one was sent away. `now` in ms.
 * @throws {SetupError} E_STORAGE, those of state files; {UnavailableError} E_BUSY.
 */
export async function usePassword(
  { suite, folder, name }: Owner,
  pending: PendingEnrolment,
  to: "admit" | "deny",
  now: number,
): Promise<boolean> {
  const file = `used-passwords.${name}.json`;
  const password = hex(suite.sha256(utf8(pending.password.text)));
  const machine = hex(suite.sha256(concat(utf8(pending.member), pending.x25519.bytes, pending.ed25519.bytes)));
  const { expires } = verifyOneTimePassword(suite, pending.password);
  const state = await PrivateFolder.openOrCreate(join(folder.path, "state"));
  const held = await holdFile(state, `${file}.lock`, { wait: LOCK_MS });
  if (held === undefined) {
    throw new SetupError("E_STORAGE", `Another sshnp-keys has approved for ${name} for ${LOCK_MS / 1000} s.`, {
      next: "Look whether it hangs, end it, then run this again.",
    });
  }
  try {
    const used = (await readState(folder, file, usedPasswordsSchema))?.passwords ?? [];
    const before = used.find(([known]) => known === password);
    if (before !== undefined && before[1] !== machine) return false;
    if (before !== undefined && to === "admit") return true;
    const others = used.filter(([known, , until]) => known !== password && now < until);
    if (others.length >= PASSWORDS_PER_NAME) throw tooMany(name);
    const entry: [string, string | null, number] = [password, to === "admit" ? machine : null, expires + ENROLMENT_MS];
    await writeState(folder, file, usedPasswordsSchema, { v: 1, passwords: [...others, entry] });
    return true;
  } finally {
    held.release();
  }
}

const LOCK_MS = 10_000;

function tooMany(name: Name): UnavailableError {
  return new UnavailableError("E_BUSY", `${PASSWORDS_PER_NAME} one-time passwords of ${name} are used up already.`, {
    next: "Wait until some of them have ended; for a larger fleet make a token: sshnp-keys delegate",
  });
}
