import { AUDIT_SYSLOG_VALUE } from "../../protocol/limits.ts";
import type { AuditLine } from "./line.ts";

/** Facility 13, log audit. */
const FACILITY = 13;
const SEVERITY = { warning: 4, notice: 5, informational: 6 } as const;
/** What an operator should look at. */
const WARNINGS = new Set(["clone", "lost", "missing", "torn"]);
/** The number that RFC 5612 keeps for examples: this project has none of its own. */
const ENTERPRISE = "32473";

/**
 * A line of the audit as a message of RFC 5424, without framing: its fields as structured data, those that are no text as JSON,
 * and the line itself, byte for byte, as the message, so that `audit verify` can be had of what a receiver keeps.
 * `host`: name of this machine.
 */
export function syslogMessage(line: AuditLine, text: string, host: string): string {
  const priority = FACILITY * 8 + SEVERITY[severityOf(line)];
  const header = `<${priority}>1 ${line.time} ${word(host, 255)} sshnp-directory - ${word(line.event, 32)}`;
  // RFC 5424 section 7.3.1: up to 2^31 - 1, and then 1 again.
  const sequence = ((line.n - 1) % 2_147_483_647) + 1;
  return `${header} [meta sequenceId="${sequence}"][sshnp@${ENTERPRISE}${parametersOf(line)}] ${text}`;
}

/** RFC 6587 section 3.4.1: the length in octets, a space, the message. */
export function octetCounted(message: string): string {
  return `${Buffer.byteLength(message)} ${message}`;
}

function severityOf({ event, verdict }: AuditLine): keyof typeof SEVERITY {
  if (WARNINGS.has(event)) return "warning";
  return typeof verdict === "string" && verdict.startsWith("E_") ? "notice" : "informational";
}

function parametersOf(line: AuditLine): string {
  return Object.entries(line)
    .filter(([name]) => name !== "time" && name !== "prev")
    .map(([name, value]) => {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      return ` ${parameterName(name)}="${escaped(text.slice(0, AUDIT_SYSLOG_VALUE))}"`;
    })
    .join("");
}

/** RFC 5424 section 6.3.3: quotation mark, backslash and closing bracket take a backslash; the rest is printable here. */
function escaped(text: string): string {
  return text.replace(/[^ -~]/g, "?").replace(/["\\\]]/g, "\\$&");
}

function parameterName(name: string): string {
  return word(name, 32).replace(/[="\]]/g, "-");
}

/** Printable ASCII without a space, and something. */
function word(text: string, length: number): string {
  const printable = text.replace(/[^!-~]/g, "-").slice(0, length);
  return printable === "" ? "-" : printable;
}
