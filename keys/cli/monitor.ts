import { setTimeout as delay } from "node:timers/promises";
import { Command } from "commander";
import * as v from "valibot";
import { MONITOR_FAILED_LOOKS } from "../../protocol/limits.ts";
import { issuedOf, type Past } from "../../protocol/name-account.ts";
import { hex } from "../bytes.ts";
import { SecurityError, SetupError, UnavailableError } from "../errors.ts";
import { quoted } from "../names.ts";
import { readState, writeState } from "../state-files.ts";
import { minute } from "../table.ts";
import { type OwnerOptions, ownerOptions, type OwnerWork, withOwner } from "./owner-work.ts";
import { say } from "./say.ts";

interface MonitorOptions extends OwnerOptions {
  readonly interval: string;
  readonly once?: boolean;
  readonly acknowledge?: boolean;
}

/** SHA-256 of the texts of statements, in hex. */
const acknowledgedSchema: v.GenericSchema<{ v: 1; statements: string[] }> = v.strictObject({
  v: v.literal(1),
  statements: v.array(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))),
});

/** `sshnp-keys monitor` */
export function monitorCommand(): Command {
  return ownerOptions(new Command("monitor"))
    .description("Watch what is stated about a name, and end when something is that was not acknowledged.")
    .argument("<name>", "the name, such as @acme")
    .option("--interval <time>", "between two looks: 30s, 1m or 2h", "1m")
    .option("--once", "look once, for cron")
    .option("--acknowledge", "what is there now was made by the owner")
    .addHelpText(
      "after",
      `
At each look the log must continue what was seen of it before, the newest statement on each subject is proved by it, and
nothing may be gone. The first look acknowledges what is there. It sees what the directory gives about the name: a subject of
which it tells nobody here, it does not see.

Exit status: 0 nothing new; 76 (E_STATEMENT) a statement that was not acknowledged, (E_LOG) a log that does not hold,
(E_OWNER_KEY) another owner; 69 the directory could not be asked, ${MONITOR_FAILED_LOOKS} times in a row or with --once.

Examples:
  sshnp-keys monitor @acme
  sshnp-keys monitor @acme --once --acknowledge`,
    )
    .action((name: string, options: MonitorOptions) => {
      const interval = parseInterval(options.interval);
      return withOwner(name, options, (work) => monitor(work, options, interval));
    });
}

async function monitor(work: OwnerWork, { once, acknowledge }: MonitorOptions, interval: number): Promise<void> {
  let isAcknowledging = acknowledge ?? false;
  let failed = 0;
  for (;;) {
    try {
      await look(work, isAcknowledging);
      isAcknowledging = false;
      failed = 0;
    } catch (error) {
      if (once === true || !(error instanceof UnavailableError)) throw error;
      failed += 1;
      if (failed === MONITOR_FAILED_LOOKS) {
        say(`${failed} looks in a row have failed: what is stated about ${work.name} is not watched any more.`);
        throw error;
      }
      say(`${error.message} The next look is in ${Math.round(interval / 1000)} s.`);
    }
    if (once === true) return;
    await delay(interval, undefined, { signal: work.signal }).catch(() => work.signal.throwIfAborted());
  }
}

async function look(work: OwnerWork, isAcknowledging: boolean): Promise<void> {
  const { folder, name } = work;
  const file = `monitor.${name}.json`;
  const { history } = await work.account();
  const hashOf = ({ hash }: Past): string => hex(hash);
  const there = new Set(history.map(hashOf));
  const before = await readState(folder, file, acknowledgedSchema);
  const known = new Set(before?.statements);
  const gone = [...known].filter((hash) => !there.has(hash)).length;
  if (gone > 0) {
    throw new SecurityError("E_LOG", `The directory no longer has ${gone} of the statements about ${name}.`, {
      next: "Ask whoever runs it whether it was restored from a backup; what was revoked since may count again.",
    });
  }
  const added = history.filter((past) => !known.has(hashOf(past)));
  if (added.length === 0) return;
  for (const past of added) say(`${minute(issuedOf(past))} ${past.kind} ${past.seq} on ${past.subject}`);
  if (before !== undefined && !isAcknowledging) {
    throw new SecurityError("E_STATEMENT", `${added.length} statements about ${name} are new since the last look.`, {
      next:
        `If you made them: sshnp-keys monitor ${name} --once --acknowledge. If not, somebody signs in your place: revoke what ` +
        `he has made (sshnp-keys revoke), and find out who has the owner key.`,
    });
  }
  await writeState(folder, file, acknowledgedSchema, { v: 1, statements: [...there] });
  say(`${added.length} statements about ${name} are acknowledged.`);
}

/** ms */
function parseInterval(text: string): number {
  const [, number, unit = "s"] = /^([1-9][0-9]{0,4})([smh])$/.exec(text) ?? [];
  if (number !== undefined) return Number(number) * ({ s: 1, m: 60, h: 3600 }[unit] ?? 1) * 1000;
  throw new SetupError("E_USAGE", `--interval ${quoted(text)} is no time.`, { next: "Write it as 30s, 1m or 2h." });
}
