/** What a person reads about an enrolment that is not done. */
import type { ApplicantKeys } from "../enrolment-files.ts";
import { DeniedError, SetupError, UnavailableError } from "../errors.ts";
import type { Role } from "../names.ts";

export function pending({ name, member }: ApplicantKeys, code: string): UnavailableError {
  return new UnavailableError("E_PENDING", `Enrolment of ${member} of ${name} waits for its owner (code ${code}).`, {
    next: `Where the owner key is: sshnp-keys approve ${name} ${member}   Then run this again, or with --wait.`,
  });
}

/** A wait is a question of its own, which takes the password again; the same is good for it. */
export function waitsWithPassword({ name, member }: ApplicantKeys, code: string): SetupError {
  return new SetupError(
    "E_USAGE",
    `Enrolment of ${member} of ${name} waits for its owner (code ${code}), and --wait needs its one-time password.`,
    { next: "Give --otp - too, with the same password; or leave --wait out, and run this again later." },
  );
}

export function turnedAway({ name, member }: ApplicantKeys): DeniedError {
  return new DeniedError(
    "E_NOT_AUTHORIZED",
    `${member} of ${name} is no member and does not wait any more: the owner turned this machine away, or its time was over.`,
    { next: `With a new one-time password of the owner's (sshnp-keys otp ${name}) it can ask again: --otp -` },
  );
}

export function anotherRole(
  { name, member, role }: Pick<ApplicantKeys, "name" | "member" | "role">,
  found: Role,
): SetupError {
  return new SetupError("E_KEY_EXISTS", `${member} of ${name} is a ${found} on this machine, not a ${role}.`, {
    next: `Choose another name, or ask as a ${found}${found === "device" ? " with -d" : " without -d"}.`,
  });
}
