import { SetupError } from "../keys/errors.ts";
import { quoted } from "../keys/names.ts";
import { printService } from "../protocol/policy/patterns.ts";
import { parseService } from "../protocol/service.ts";

/** The values of --permit-open, as services: `HOST:PORT`, IPv6 in brackets. @throws {SetupError} E_USAGE. */
export function parsePermitOpen(values: readonly string[]): ReadonlySet<string> {
  return new Set(values.map(parseOne));
}

function parseOne(value: string): string {
  try {
    return printService(parseService(`tcp:${value}`));
  } catch (cause) {
    throw new SetupError("E_USAGE", `${quoted(value)} is not a place that --permit-open can name.`, {
      next: "Write HOST:PORT in lower case, as this machine reaches it; IPv6 in brackets: [fd00::1]:80",
      cause,
    });
  }
}
