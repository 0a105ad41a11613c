import { isIP } from "node:net";
import { SshnpError, UnavailableError } from "../../../keys/errors.ts";
import { isoTime } from "../../../keys/iso-time.ts";
import { quoted } from "../../../keys/names.ts";
import { minute } from "../../../keys/table.ts";
import type { DirectoryAddress } from "../../../protocol/directory-address.ts";
import { FRESHNESS_MS, LOOK_MS } from "../../../protocol/limits.ts";
import {
  formatRendezvousAddress,
  parseRendezvousAddress,
  type RendezvousAddress,
} from "../../../protocol/rendezvous-address.ts";
import { lookAtRendezvous } from "../../../rendezvous/client.ts";
import { duration } from "../../ago.ts";
import { isAtPrivateAddress } from "../../private-directory.ts";
import type { DirectoryContact } from "../../directory-contact.ts";
import { type Outcome, outcomeOf } from "../../outcome.ts";
import { isEndNear, ownEndNear } from "../../own-end-texts.ts";
import { type Check, failed, ok, skipped } from "./check.ts";
import { addressesOf, certificateOf, timeToConnect, type Way, wayTo } from "./network.ts";
import { proxyVariables } from "./surroundings.ts";

/** What is known of the directory: the address, and what came of asking it, if it could be. */
export interface Asked {
  readonly address: Outcome<DirectoryAddress>;
  readonly contact: Outcome<DirectoryContact>;
}

export function checkClock({ contact }: Asked): Check {
  const offset = "value" in contact ? contact.value.directory.client.clockOffset : undefined;
  if (offset === undefined)
    return skipped("clock", `it says ${isoTime(Date.now())}; the directory gave no time to compare with`);
  const text = clockText(offset);
  if (Math.abs(offset) < FRESHNESS_MS) return ok("clock", text);
  return failed(
    "clock",
    new UnavailableError("E_CLOCK", `This machine's clock is ${text}.`, { next: "Set it: timedatectl set-ntp true" }),
  );
}

/** `0.2 s behind the directory's`; ms by which the directory's is ahead. */
export function clockText(offset: number): string {
  const how =
    Math.abs(offset) < 60_000 ? `${(Math.abs(offset) / 1000).toFixed(1)} s` : duration(Math.abs(offset) + 30_000);
  return `${how} ${offset > 0 ? "behind" : "ahead of"} the directory's`;
}

/** Name, proxies, connection, certificate: each by itself, whatever became of the others, and on the way that sessions take. */
export async function* checkWay({ address }: Asked): AsyncGenerator<Check, void, void> {
  const proxies = proxyVariables(process.env);
  const said =
    proxies.length === 0 ? "no variable names one" : proxies.map(([name, value]) => `${name}=${value}`).join(" ");
  if ("error" in address) {
    yield skipped("name", "there is no address of a directory");
    yield ok("proxy", said);
    for (const name of ["connection", "certificate"]) yield skipped(name, "there is no address of a directory");
    return;
  }
  const { url } = address.value;
  const found = await outcomeOf(() => wayTo(url));
  if ("error" in found) {
    yield skipped("name", "it is not clear who looks it up");
    yield failed("proxy", found.error);
    for (const name of ["connection", "certificate"]) yield skipped(name, "the proxy is not clear");
    return;
  }
  const way = found.value;
  yield await checkName(way);
  const taken =
    way.proxy === undefined ? "the directory is reached without one" : `the directory is reached through ${way.proxy}`;
  yield ok("proxy", proxies.length === 0 ? said : `${said}; ${taken}`);
  const connection = await checked("connection", async () => {
    const through = way.proxy === undefined ? "" : ` through ${way.proxy}`;
    return `${way.host}:${way.port} answers${through} in ${(await timeToConnect(way)).toFixed(1)} ms`;
  });
  yield connection;
  if (url.protocol !== "https:")
    yield ok("certificate", "none, as the address begins with http://: nothing rests on TLS");
  else if (connection.verdict === "fail") yield skipped("certificate", "there is no connection");
  else yield await checkCertificate(url);
}

async function checkName({ host, proxy }: Way): Promise<Check> {
  if (proxy !== undefined && isIP(host) === 0) return ok("name", `${host} is for the proxy to look up`);
  return await checked("name", async () => `${host} is ${(await addressesOf(host)).join(", ")}`);
}

async function checkCertificate(url: URL): Promise<Check> {
  try {
    const { doubt, subject, issuer, until } = await certificateOf(url);
    const whose = `of ${subject} by ${issuer}, until ${quoted(until)}`;
    if (doubt === undefined) return ok("certificate", `${whose}; it verifies`);
    return ok(
      "certificate",
      `${whose}; it does not verify (${quoted(doubt)})`,
      "It is self-signed, or somebody looks into TLS on the way. Nothing rests on it: sessions stay sealed end to end.",
    );
  } catch (error) {
    return failed("certificate", error);
  }
}

/** The line about key files says what to do. */
const NO_KEYS = "there are no keys of a client to ask with";

export function checkRootKey({ address, contact }: Asked): Check {
  if ("error" in contact && contact.error.code === "E_NO_KEYS") return skipped("directory key", NO_KEYS);
  if ("error" in address) return failed("directory key", address.error);
  if ("error" in contact) return skipped("directory key", NO_KEYS);
  const { keyList } = contact.value;
  if ("error" in keyList) return failed("directory key", keyList.error);
  const { expires } = keyList.value;
  return ok("directory key", `its keys until ${minute(expires)} are signed by ${address.value.fingerprint}`);
}

export function checkOwn({ contact }: Asked): Check {
  if ("error" in contact && contact.error.code === "E_NO_KEYS") return skipped("own binding", NO_KEYS);
  if ("error" in contact) return failed("own binding", contact.error);
  const { own, directory } = contact.value;
  if (own === undefined) return skipped("own binding", "the directory did not answer");
  if ("error" in own) return failed("own binding", own.error);
  const { statement } = own.value.binding;
  const { name, member, expires } = statement;
  const text = `${member} of ${name} counts ${expires === null ? "without an end" : `until ${minute(expires)}`}`;
  return ok(
    "own binding",
    text,
    isEndNear(expires, directory.now()) ? ownEndNear({ name, member }, expires) : undefined,
  );
}

export function checkLog({ contact }: Asked): Check {
  const log = "value" in contact ? contact.value.log : undefined;
  if (log === undefined) return skipped("log", "the directory showed none of it");
  if ("error" in log) return failed("log", log.error);
  const { size, demand, witnessTime } = log.value;
  const text = `${size} entries, and they continue what this machine saw before`;
  if (demand === undefined) {
    return ok(
      "log",
      `${text}; no witness is demanded`,
      "Without one a directory can show you a log that stands still. Name witnesses: SSHNP_WITNESSES=K:KEY,KEY (docs/operating.md)",
    );
  }
  const now = "value" in contact ? contact.value.directory.now() : Date.now();
  const age = duration(now - witnessTime);
  return ok("log", `${text}; ${demand.needed} of ${demand.witnesses.length} witnesses have seen it, ${age} ago`);
}

/** Each rendezvous that a ticket would name now, over TCP and over WebSocket: one way is enough. */
export async function* checkRendezvous({ contact }: Asked, signal: AbortSignal): AsyncGenerator<Check, void, void> {
  const listed = "value" in contact ? contact.value.rendezvous : undefined;
  if (listed === undefined) return yield skipped("rendezvous", "the directory named none");
  if ("error" in listed) return yield failed("rendezvous", listed.error);
  if (listed.value.length === 0) {
    const none = new UnavailableError("E_NO_RENDEZVOUS", "The directory has no rendezvous that is up.", {
      next: "On the directory's machine: sshnp-directory rendezvous ls   then start one: sshnp-rendezvous run",
    });
    return yield failed("rendezvous", none);
  }
  const allowPrivate = "value" in contact && isAtPrivateAddress(contact.value.directory);
  for (const { rendezvous, addresses } of listed.value)
    yield await checkOne(rendezvous, addresses, allowPrivate, signal);
}

async function checkOne(
  name: string,
  addresses: readonly string[],
  allowPrivate: boolean,
  signal: AbortSignal,
): Promise<Check> {
  const ways = addresses.flatMap((text) => waysTo(parseRendezvousAddress(text)));
  const different = [...new Map(ways.map((way) => [formatRendezvousAddress(way), way])).values()];
  const looks = await Promise.all(different.map((way) => look(way, allowPrivate, signal)));
  const text = `${name}: ${looks.map(({ said }) => said).join("; ")}`;
  if (looks.some(({ isReached }) => isReached)) return ok("rendezvous", text);
  const unreached = new UnavailableError("E_RENDEZVOUS", text, {
    next: "Check this machine's network and firewall: either TCP or WebSocket to it must pass.",
  });
  return failed("rendezvous", unreached);
}

/** It has both on one port; where TLS stands in front, WebSocket alone passes. */
function waysTo(address: RendezvousAddress): RendezvousAddress[] {
  return address.transport === "tcp" ? [address, { ...address, transport: "ws" }] : [address];
}

async function look(
  address: RendezvousAddress,
  allowPrivate: boolean,
  signal: AbortSignal,
): Promise<{ readonly isReached: boolean; readonly said: string }> {
  const where = formatRendezvousAddress(address);
  const patience = AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS)]);
  try {
    await lookAtRendezvous(address, { allowPrivate, signal: patience });
    return { isReached: true, said: `${where} answers` };
  } catch (error) {
    signal.throwIfAborted();
    if (!patience.aborted && !(error instanceof SshnpError)) throw error;
    return {
      isReached: false,
      said: `not reached: ${error instanceof SshnpError ? error.message : `${where} (too slow)`}`,
    };
  }
}

async function checked(name: string, action: () => Promise<string>): Promise<Check> {
  try {
    return ok(name, await action());
  } catch (error) {
    if (error instanceof SshnpError) return failed(name, error);
    throw error;
  }
}
