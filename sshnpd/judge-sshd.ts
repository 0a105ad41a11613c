import { type Finding, fine, toFix } from "./finding.ts";
import type { SshdConfiguration } from "./sshd-configuration.ts";
import { parseMaxStartups, StartupGate } from "./startup-gate.ts";

/**
 * What in an sshd's configuration stands in the way of sessions, all of which it sees come from 127.0.0.1 when it listens
 * there (`isListening`), and from nowhere when it is started for each.
 */
export function judgeSshd(
  configuration: SshdConfiguration,
  { isListening }: { readonly isListening: boolean },
): Finding[] {
  const value = (option: string): string => configuration.get(option)?.join(" ") ?? "";
  const findings: Finding[] = [];
  if (isListening) {
    findings.push(judgeMaxStartups(value("maxstartups")));
    const perSource = value("persourcemaxstartups");
    if (/^[0-9]+$/.test(perSource)) {
      const text = `PerSourceMaxStartups ${perSource}: of all clients together no more may be logging in, for all come from 127.0.0.1`;
      findings.push(toFix("sshd", text, dropIn("PerSourceMaxStartups none")));
    }
    findings.push(...judgePenalties(value("persourcepenalties"), value("persourcepenaltyexemptlist")));
  }
  findings.push(judgeAlive(Number(value("clientaliveinterval") || 0), Number(value("clientalivecountmax") || 0)));
  return findings;
}

function judgeMaxStartups(text: string): Finding {
  const maxStartups = parseMaxStartups(text);
  if (maxStartups === undefined) return fine("sshd", "MaxStartups is not known; logins are paced as for 10:30:100");
  const { room } = new StartupGate(maxStartups, 1);
  if (room > 1) return fine("sshd", `MaxStartups ${text}: ${room} clients at a time log in, others wait for a moment`);
  return toFix("sshd", `MaxStartups ${text}: one client at a time can log in`, dropIn("MaxStartups 10:30:100"));
}

/** Since OpenSSH 9.8 whoever fails to log in is shut out for a while by his address, which is everybody's here. */
function judgePenalties(penalties: string, exempt: string): Finding[] {
  if (penalties === "" || /^(no|false)\b/.test(penalties)) return [];
  if (exempt.split(/[ ,]+/).some((entry) => LOOPBACK.has(entry))) {
    return [fine("sshd", "PerSourcePenalties leave 127.0.0.1 out")];
  }
  const text = "PerSourcePenalties are on: one client's failed logins shut out all, for all come from 127.0.0.1";
  return [toFix("sshd", text, dropIn("PerSourcePenaltyExemptList 127.0.0.1"))];
}

function judgeAlive(interval: number, count: number): Finding {
  if (interval === 0 || count === 0)
    return fine("sshd", "it ends no session for silence (ClientAliveInterval, ClientAliveCountMax)");
  return fine(
    "sshd",
    `it ends a session whose client has not answered for ${interval * count} s (ClientAliveInterval ${interval}, ClientAliveCountMax ${count})`,
  );
}

function dropIn(line: string): string {
  return `echo '${line}' >> /etc/ssh/sshd_config.d/sshnpd.conf && systemctl reload ssh`;
}

const LOOPBACK: ReadonlySet<string> = new Set(["127.0.0.1", "127.0.0.1/32", "127.0.0.0/8"]);
