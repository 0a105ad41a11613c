import type { SshnpError } from "../../../keys/errors.ts";
import { isoTime } from "../../../keys/iso-time.ts";
import { quoted } from "../../../keys/names.ts";
import { printable } from "../../../keys/print-error.ts";
import { printableJson } from "../../../keys/printable-json.ts";
import { minute } from "../../../keys/table.ts";
import { VERSION } from "../../../keys/version.ts";
import { duration } from "../../ago.ts";
import type { Outcome } from "../../outcome.ts";
import { clockText } from "../doctor/directory-checks.ts";
import type { ClientFact, DirectoryFact, Facts } from "./facts.ts";

/** `LABEL  text` in lines, for a person. */
export function statusText(facts: Facts): string {
  const rows: [string, string][] = [
    ...facts.clients.flatMap(clientRows),
    ...facts.directories.flatMap(directoryRows),
    [
      "proxy",
      facts.proxies.length === 0 ? "no variable names one" : facts.proxies.map((pair) => pair.join("=")).join(" "),
    ],
    ["agent", agentText(facts.agent)],
    ["ssh", toldOr(facts.ssh, (version) => version)],
    ["ssh config", toldOr(facts.isSshConfigured, configuredText)],
    ["version", `sshnp ${VERSION}, Node ${process.version}`],
  ];
  return rows.map(([label, text]) => `${label.padEnd(11)}  ${printable(text)}\n`).join("");
}

function clientRows({ name, member, expires, problem }: ClientFact): [string, string][] {
  const until =
    expires === undefined ? "" : `, counts ${expires === null ? "without an end" : `until ${minute(expires)}`}`;
  const rows: [string, string][] = [["client", `${name} as ${member}${until}`]];
  if (problem !== undefined) rows.push(["", failure(problem)]);
  return rows;
}

function directoryRows({ address, contact, certificate }: DirectoryFact): [string, string][] {
  const rows: [string, string][] = [["directory", address.url.origin]];
  if (certificate !== undefined) rows.push(["certificate", toldOr(certificate, certificateText)]);
  if ("error" in contact) return [...rows, ["", failure(contact.error)]];
  const { keyList, log, directory } = contact.value;
  if ("error" in keyList) return [...rows, ["", failure(keyList.error)]];
  rows.push(["key", `${address.fingerprint} signed what it uses until ${minute(keyList.value.expires)}`]);
  const { clockOffset } = directory.client;
  if (clockOffset !== undefined) rows.push(["clock", clockText(clockOffset)]);
  if (log !== undefined) rows.push(["log", toldOr(log, (state) => logText(state, directory.now()))]);
  return rows;
}

function certificateText({
  doubt,
  subject,
  issuer,
  until,
}: {
  readonly doubt: string | undefined;
  readonly subject: string;
  readonly issuer: string;
  readonly until: string;
}): string {
  const verdict = doubt === undefined ? "it verifies" : `it does not verify (${quoted(doubt)}); nothing rests on it`;
  return `of ${subject} by ${issuer}, until ${quoted(until)}; ${verdict}`;
}

function logText(
  {
    size,
    demand,
    witnessTime,
  }: {
    readonly size: number;
    readonly demand: { readonly needed: number; readonly witnesses: readonly unknown[] } | undefined;
    readonly witnessTime: number;
  },
  now: number,
): string {
  const seen = `newest checkpoint of ${size} entries`;
  if (demand === undefined) return `${seen}; no witness is demanded, so nobody says how old it is`;
  return `${seen}; ${demand.needed} of ${demand.witnesses.length} witnesses saw it ${duration(now - witnessTime)} ago`;
}

function agentText(agent: Facts["agent"]): string {
  if (agent === undefined) return "none: SSH_AUTH_SOCK is not set";
  return toldOr(agent, (count) => `${count} ${count === 1 ? "key" : "keys"}`);
}

function configuredText(isConfigured: boolean): string {
  return isConfigured
    ? "ssh, scp and others reach *.np through sshnp"
    : "ssh itself does not reach *.np: sshnp ssh-config --install lets it";
}

function toldOr<T>(outcome: Outcome<T>, tell: (value: T) => string): string {
  return "error" in outcome ? failure(outcome.error) : tell(outcome.value);
}

function failure({ message, next, code }: SshnpError): string {
  return `${message}${next === undefined ? "" : ` ${next}`} [${code}]`;
}

/** The same for programs. */
export function statusJson(facts: Facts): string {
  const { clients, directories, proxies, agent, ssh, isSshConfigured } = facts;
  return printableJson({
    ...{ v: 1, version: VERSION, status: statusOf(facts) },
    clients: clients.map(({ name, member, expires, directory, problem }) => ({
      ...{ name, member, directory: directory ?? null },
      expires: expires === undefined || expires === null ? null : isoTime(expires),
      error: errorJson(problem),
    })),
    directories: directories.map(directoryJson),
    proxy: Object.fromEntries(proxies),
    agent: agent === undefined ? null : { keys: valueOf(agent), error: errorOf(agent) },
    ssh: { version: valueOf(ssh), isConfigured: valueOf(isSshConfigured), error: errorOf(ssh) },
  });
}

function directoryJson({ address, contact, certificate }: DirectoryFact): object {
  const made = "value" in contact ? contact.value : undefined;
  const log = made?.log !== undefined && "value" in made.log ? made.log.value : undefined;
  return {
    address: address.text,
    error:
      errorOf(contact) ??
      (made === undefined ? null : (errorOf(made.keyList) ?? (made.log === undefined ? null : errorOf(made.log)))),
    certificate:
      certificate === undefined || "error" in certificate
        ? null
        : { ...certificate.value, doubt: certificate.value.doubt ?? null },
    clockOffsetMs: made?.directory.client.clockOffset ?? null,
    log:
      log === undefined
        ? null
        : {
            size: log.size,
            witnessesNeeded: log.demand?.needed ?? 0,
            witnesses: log.demand?.witnesses.length ?? 0,
            witnessed: log.witnessTime === 0 ? null : isoTime(log.witnessTime),
          },
  };
}

/** That of the first trouble with a client or a directory; 0 without. */
export function statusOf({ clients, directories }: Facts): number {
  const troubles = [
    ...clients.map(({ problem }) => problem),
    ...directories.flatMap(({ contact }) => {
      if ("error" in contact) return [contact.error];
      return [contact.value.keyList, contact.value.log].map((one) =>
        one !== undefined && "error" in one ? one.error : undefined,
      );
    }),
  ];
  return troubles.find((one) => one !== undefined)?.exitStatus ?? 0;
}

function valueOf<T>(outcome: Outcome<T>): T | null {
  return "value" in outcome ? outcome.value : null;
}

function errorOf(outcome: Outcome<unknown>): object | null {
  return "error" in outcome ? errorJson(outcome.error) : null;
}

function errorJson(error: SshnpError | undefined): object | null {
  return error === undefined ? null : { code: error.code, message: error.message, next: error.next ?? null };
}
