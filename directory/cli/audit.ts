import type { Command } from "commander";
import { SetupError } from "../../keys/errors.ts";
import type { ExportOptions, VerifyOptions } from "./audit-options.ts";
import { DATA, type DataOptions, keysOption, storeOption } from "./data-options.ts";

/** `sshnp-directory audit export`, `verify`, `anchor` */
export function addAuditCommands(program: Command): void {
  const group = program.command("audit").description("Export the audit, and verify it against the log.");
  addExport(group);
  addVerify(group);
  group
    .command("anchor")
    .description("Put the audit's newest line into the log now, which happens every 10 minutes by itself.")
    .requiredOption(...DATA)
    .addOption(storeOption())
    .addOption(keysOption())
    .action(async (options: DataOptions) => {
      const { withAdministration } = await import("./open-administration.ts");
      const { directory, line, index } = await withAdministration(options, (one) => one.anchorAudit());
      process.stderr.write(`Line ${line} of directory ${directory} stands in the log, at entry ${index}.\n`);
    });
}

function addExport(group: Command): void {
  group
    .command("export")
    .argument("[file...]", "audit files, oldest first, if not the one in the data folder")
    .description("Print the audit: its lines as they are, or as syslog.")
    .option(...DATA)
    .option("--since <when>", "from then on: 2026-01-31, 2026-01-31T12:00:00Z, or 90m, 24h, 7d ago")
    .option("--until <when>", "before then")
    .option("--event <event>", "these events alone, as the lines say them; may be given often", collect)
    .option("--format <format>", "ndjson, or syslog (RFC 5424), a message a line", format)
    .option("--to <receiver>", "send syslog there: tcp://HOST:PORT or tls://HOST:PORT (RFC 6587, RFC 5425)")
    .option("--to-ca <file>", "who may vouch for the receiver's certificate (PEM), if not those that Node knows")
    .option("--follow", "go on with what is written later, until Ctrl-C or SIGTERM")
    .option("--cursor-file <file>", "remember there what went out, and go on after it")
    .addHelpText(
      "after",
      `
A whole export, without --since, --until and --event, can be verified. docs/audit.md has the fields.

Examples:
  sshnp-directory audit export --data np > audit.ndjson
  sshnp-directory audit export --data np --since 24h --event session
  sshnp-directory audit export --data np --follow --to tls://logs.example.org:6514 --cursor-file np/sent`,
    )
    .action(async (files: string[], options: ExportOptions) => {
      await (await import("./audit-export.ts")).exportAudit(files, options);
    });
}

function addVerify(group: Command): void {
  group
    .command("verify")
    .argument(
      "[file...]",
      "audit files or whole exports, in any order, - for stdin; if not the file in the data folder",
    )
    .description("Tell whether lines were changed, removed or added, by their chain and by the log.")
    .option(...DATA)
    .addOption(storeOption())
    .addOption(keysOption())
    .option("--directory <address>", "read the log there, from outside, in place of the data folder")
    .option("--checkpoint <file>", "what was seen of the log before, which it must continue; the newest is kept there")
    .option("--log-size <n>", "hold the lines against the log as it was with so many entries")
    .option("--other-directories", "audits of others on the same store are not here")
    .option(
      "--witness <key>",
      "demand that this witness has cosigned the log: NAME+hash+base64; may be given often",
      collect,
    )
    .option("--witnesses <k>", "how many of them, if not more than half")
    .option("--max-checkpoint-age <time>", "how old their cosignatures may be, as in 24h")
    .addHelpText(
      "after",
      `
With --data alone, the log is believed that lies on the same disk. Whoever does not believe the machine keeps a
--checkpoint of his own, or demands witnesses.

Examples:
  sshnp-directory audit verify --data np
  sshnp-directory audit verify audit.ndjson --directory http://np.example.org:7800#SHA256:... --checkpoint seen`,
    )
    .action(async (files: string[], options: VerifyOptions) => {
      await (await import("./audit-verify.ts")).verify(files, options);
    });
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

function format(text: string): "ndjson" | "syslog" {
  if (text === "ndjson" || text === "syslog") return text;
  throw new SetupError("E_USAGE", "--format is ndjson or syslog.", {
    next: "See: sshnp-directory audit export --help",
  });
}
