import { Command } from "commander";
import { SetupError } from "../../../keys/errors.ts";
import { isoDay } from "../../../keys/iso-time.ts";
import { listPins } from "../../../keys/peer-files.ts";
import { printData } from "../../../keys/print-data.ts";
import { loadSuite } from "../../../protocol/suite/load.ts";
import { type PinnedKey, readPinnedKeys } from "../../pinned-keys.ts";
import { type FolderOption, openKeysFolder, withFolderOption } from "./keys-folder.ts";
import { pinsJson } from "./pins-json.ts";

interface LsOptions extends FolderOption {
  readonly json?: boolean;
}

export function lsCommand(): Command {
  return withFolderOption(new Command("ls"))
    .summary("list owner keys and SSH host keys")
    .description(
      "List owner keys and SSH host keys: name or host, what, fingerprint, origin, since; a table on a terminal, " +
        "lines with tabs anywhere else.",
    )
    .option("--json", "print it as JSON, with the words of each fingerprint")
    .action((options: LsOptions) => list(options));
}

/** A pin that cannot be read hides no other name: it is told of when what can be read is printed. */
async function list(options: LsOptions): Promise<void> {
  const folder = await openKeysFolder(options);
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const pins: PinnedKey[] = [];
  let failure: SetupError | undefined;
  for (const subject of await listPins(folder)) {
    try {
      pins.push(...(await readPinnedKeys(suite, folder, subject)));
    } catch (error) {
      if (!(error instanceof SetupError) || error.code !== "E_BAD_KEY_FILE") throw error;
      failure ??= error;
    }
  }
  const shown = pins.filter(({ what }) => what !== "noise" && what !== "signing");
  await printData(await text(shown, options));
  if (failure !== undefined) throw failure;
}

async function text(pins: readonly PinnedKey[], { json = false }: LsOptions): Promise<string> {
  if (json) return await pinsJson(pins);
  const rows = pins.map(cells);
  if (process.stdout.isTTY) return table([HEADINGS, ...rows], process.stdout.columns);
  return rows.map((row) => `${row.join("\t")}\n`).join("");
}

type Row = readonly [who: string, what: string, fingerprint: string, origin: string, since: string];

const HEADINGS: Row = ["NAME OR HOST", "WHAT", "FINGERPRINT", "ORIGIN", "SINCE"];

function cells({ name, host, what, fingerprint, origin, since }: PinnedKey): Row {
  const why = what === "accepted" ? "for the next connect" : (origin ?? "");
  return [host ?? name, what, fingerprint, why, since === undefined ? "" : isoDay(since)];
}

/** In columns; where a screen is too narrow for all of them, each fingerprint has a line of its own. */
function table(rows: readonly Row[], columns: number): string {
  const wide = aligned(rows);
  if (wide.every((line) => line.length <= columns)) return `${wide.join("\n")}\n`;
  const narrow = aligned(rows.map(([who, what, , origin, since]) => [who, what, origin, since]));
  return rows.map(([, , fingerprint], i) => `${narrow[i] ?? ""}\n  ${fingerprint}\n`).join("");
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
