import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { SetupError, SshnpError } from "../../keys/errors.ts";
import { inVariable } from "../../keys/in-variable.ts";
import { quoted } from "../../keys/names.ts";
import { CHECKPOINT_AGE_MS, NOTE_SIGNATURES } from "../../protocol/limits.ts";
import { parseWitness } from "../../protocol/log/cosignature.ts";
import type { WitnessDemand } from "./log-follower.ts";

/** What a command line says of witnesses, as it was typed. */
export interface WitnessOptions {
  /** Verifier keys, NAME+hash+base64. */
  readonly witness?: readonly string[] | undefined;
  /** How many of them must have cosigned. */
  readonly witnesses?: string | undefined;
  /** How old the checkpoint may be by the last of these, as in 24h. */
  readonly maxCheckpointAge?: string | undefined;
}

/**
 * Which witnesses an end demands: those of its command line, else those of SSHNP_WITNESSES (`K:KEY,KEY`); undefined: none.
 * Unless it is said how many, more than half of them. @throws {SetupError} E_USAGE.
 */
export function readWitnessDemand(
  suite: CipherSuite,
  options: WitnessOptions = {},
  env: { readonly [name: string]: string | undefined } = {},
): WitnessDemand | undefined {
  const given = options.witness?.length ? options : { ...fromEnvironment(env["SSHNP_WITNESSES"]), ...stated(options) };
  const keys = given.witness ?? [];
  if (keys.length === 0) {
    if (given.witnesses === undefined && given.maxCheckpointAge === undefined) return undefined;
    throw usage("Something is demanded of witnesses, and none is named.", "Name each: --witness NAME+hash+base64");
  }
  if (keys.length > NOTE_SIGNATURES - 1) {
    throw usage(`More than ${NOTE_SIGNATURES - 1} witnesses are named.`, "A checkpoint has no room for so many.");
  }
  const isStated = options.witness === undefined || options.witness.length === 0;
  const read = (key: string): WitnessDemand["witnesses"][number] => readKey(suite, key);
  const witnesses = keys.map((key) => (isStated ? inVariable("SSHNP_WITNESSES", key, read) : read(key)));
  const different = new Set(witnesses.map(({ publicKey }) => publicKey.toJSON())).size;
  if (different < witnesses.length) {
    throw usage("One witness is named twice.", "A witness is its key, whatever it is called: name each key once.");
  }
  return {
    witnesses,
    needed: readNumber(given.witnesses, witnesses.length),
    maxAge: readAge(given.maxCheckpointAge),
  };
}

function stated({ witnesses, maxCheckpointAge }: WitnessOptions): WitnessOptions {
  return {
    ...(witnesses === undefined ? {} : { witnesses }),
    ...(maxCheckpointAge === undefined ? {} : { maxCheckpointAge }),
  };
}

function fromEnvironment(text: string | undefined): WitnessOptions {
  if (text === undefined || text === "") return {};
  const [, witnesses, keys] = /^([0-9]+):(.+)$/s.exec(text) ?? [];
  if (witnesses !== undefined && keys !== undefined) return { witnesses, witness: keys.split(",") };
  throw usage(`SSHNP_WITNESSES=${quoted(text)} names no witnesses.`, "It reads K:KEY,KEY: how many, and of which.");
}

function readKey(suite: CipherSuite, text: string): WitnessDemand["witnesses"][number] {
  try {
    return parseWitness(suite, text);
  } catch (cause) {
    if (!(cause instanceof SshnpError)) throw cause;
    throw new SetupError("E_USAGE", `${quoted(text)} is not the verifier key of a witness.`, {
      next: "It reads NAME+hash+base64, as the witness prints it when it starts.",
      cause,
    });
  }
}

function readNumber(text: string | undefined, count: number): number {
  if (text === undefined) return Math.floor(count / 2) + 1;
  if (/^[1-9][0-9]?$/.test(text) && Number(text) <= count) return Number(text);
  throw usage(`${quoted(text)} of ${count} witnesses cannot be demanded.`, `It is a number from 1 to ${count}.`);
}

/** ms */
function readAge(text: string | undefined): number {
  if (text === undefined) return CHECKPOINT_AGE_MS;
  const [, number, unit = "s"] = /^([1-9][0-9]{0,6})([smhd])$/.exec(text) ?? [];
  const seconds = { s: 1, m: 60, h: 3600, d: 86_400 }[unit] ?? 1;
  if (number !== undefined) return Number(number) * seconds * 1000;
  throw usage(`--max-checkpoint-age ${quoted(text)} is no time.`, "Write it as 90m, 24h or 7d.");
}

function usage(fact: string, next: string): SetupError {
  return new SetupError("E_USAGE", fact, { next });
}
