import { finished } from "node:stream/promises";
import { listDevices } from "../../../directory/client.ts";
import { DeniedError, SshnpError, UnavailableError } from "../../../keys/errors.ts";
import { hostName, quoted } from "../../../keys/names.ts";
import { readPins } from "../../../keys/peer-files.ts";
import { LOOK_MS } from "../../../protocol/limits.ts";
import type { ChannelStream } from "../../../protocol/channel/stream-adapter.ts";
import { duration } from "../../ago.ts";
import type { Client } from "../../client-keys.ts";
import type { Destination } from "../../command-line.ts";
import { connect } from "../../connect.ts";
import type { DirectoryContact } from "../../directory-contact.ts";
import type { Outcome } from "../../outcome.ts";
import { directoryRefusal } from "../../refusal-texts.ts";
import { Silence } from "../../progress.ts";
import { streamError } from "../../session.ts";
import { sshBanner } from "../../ssh-banner.ts";
import { goodbyeBytes } from "../../told-by-ssh.ts";
import { type Check, failed, ok, skipped } from "./check.ts";

/** The device, as far as one can look from here: known, online, a whole session, its host keys, its SSH server. */
export async function* checkDevice(
  destination: Destination,
  client: Client,
  contact: Outcome<DirectoryContact>,
  signal: AbortSignal,
): AsyncGenerator<Check, void, void> {
  const presence = await lookUp(destination, client, contact, signal);
  yield* presence.checks;
  if (!presence.isOnline) {
    for (const name of ["session", "host keys", "sshd"]) yield skipped(name, "there is no device to ask");
    return;
  }
  yield* checkSession(destination, client, signal);
}

async function lookUp(
  { device }: Destination,
  { keys }: Client,
  contact: Outcome<DirectoryContact>,
  signal: AbortSignal,
): Promise<{ readonly checks: readonly Check[]; readonly isOnline: boolean }> {
  const missing = (check: Check) => ({ checks: [check, skipped("online", "it is not known")], isOnline: false });
  if ("error" in contact || "error" in contact.value.keyList)
    return missing(skipped("device", "the directory did not answer"));
  const { directory } = contact.value;
  const attempt = { client: keys.name, device, login: "", directory: directory.client.address.url.origin };
  const { name, member } = device;
  try {
    const devices = await listDevices(directory.client, keys.x25519, name, { signal });
    const entry = devices.find((one) => one.member === member);
    if (entry === undefined) {
      const error = directoryRefusal(attempt, { code: "E_UNKNOWN_NAME", detail: 0 }, directory.now());
      const others = `${devices.length} others of ${name} you may see: sshnp ls ${keys.name} ${name}`;
      return missing(failed("device", devices.length === 0 || error === undefined ? error : withNext(error, others)));
    }
    const known = ok("device", `${hostName(device)} is known, and you may ask for it`);
    const now = directory.client.directoryTime;
    if (entry.state === "online") {
      const text = `for ${duration(now - entry.since)}, sshnpd ${entry.version}, by the directory's word`;
      return { checks: [known, ok("online", text)], isOnline: true };
    }
    const refusal =
      entry.state === "offline"
        ? ({ code: "E_OFFLINE", detail: entry.lastSeen } as const)
        : ({ code: "E_NEVER_SEEN", detail: 0 } as const);
    const error = directoryRefusal(attempt, refusal, now);
    return { checks: [known, failed("online", error)], isOnline: false };
  } catch (error) {
    if (!(error instanceof SshnpError)) throw error;
    return missing(failed("device", error));
  }
}

async function* checkSession(
  destination: Destination,
  client: Client,
  signal: AbortSignal,
): AsyncGenerator<Check, void, void> {
  const { device } = destination;
  const pinned = (await readPins(client.folder, device)).member?.hostKeys ?? [];
  const begun = performance.now();
  try {
    const surroundings = {
      keys: client.folder.path,
      userKey: undefined,
      asked: DOCTOR,
      progress: new Silence(),
      signal,
    };
    const session = await connect({ ...destination, waitSeconds: 0 }, surroundings);
    try {
      await session.ping({ signal: AbortSignal.any([signal, AbortSignal.timeout(4 * LOOK_MS)]) });
      yield ok(
        "session",
        `${device.member} of ${device.name} answered, proved its keys and was joined in ${since(begun)}`,
      );
      yield hostKeys(pinned.length);
      yield await checkBanner(session.open("ssh"), session.attempt);
    } finally {
      await session.close();
    }
  } catch (error) {
    yield* sessionFailure(error, begun);
  }
}

const DOCTOR = { verb: "doctor", after: [] };

/** What a failure says of the session, and of what comes behind it. */
function* sessionFailure(error: unknown, begun: number): Generator<Check, void, void> {
  const code = error instanceof SshnpError ? error.code : undefined;
  if (code === "E_NO_SSHD") {
    yield ok("session", `the device answered and let you in, after ${since(begun)}`);
    yield skipped("host keys", "no SSH server shows any");
    yield failed("sshd", error);
  } else if (code === "E_HOST_KEY") {
    yield ok("session", `the device answered and let you in, after ${since(begun)}`);
    yield failed("host keys", error);
    yield skipped("sshd", "its host keys are not those that are pinned");
  } else {
    yield failed("session", error);
    for (const name of ["host keys", "sshd"]) yield skipped(name, "there is no session");
  }
}

function hostKeys(pinned: number): Check {
  if (pinned > 0) return ok("host keys", "the device shows those that are pinned");
  return ok("host keys", "none are pinned yet: the first connect pins those that the device shows");
}

/** The SSH server says what it is before anybody has said anything (RFC 4253 section 4.2). */
async function checkBanner(stream: ChannelStream, attempt: Parameters<typeof streamError>[1]): Promise<Check> {
  const late = setTimeout(() => {
    stream.destroy(
      new UnavailableError("E_NO_SSHD", `The SSH server says nothing within ${LOOK_MS / 1000} s.`, {
        next: "On the device: systemctl status ssh",
      }),
    );
  }, LOOK_MS);
  let text = "";
  try {
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      text += Buffer.from(chunk as Uint8Array).toString("latin1");
      const said = sshBanner(text);
      if (said === undefined) break;
      if (said === "more") continue;
      // Hung up on, the server would complain in its log.
      stream.end(goodbyeBytes());
      await finished(stream.resume()).catch(() => {}); // at the latest with `late`
      return ok("sshd", `it says ${quoted(said.banner, 254)}`);
    }
    const what = "Something else than an SSH server answers on the device.";
    return failed("sshd", new DeniedError("E_NO_SSHD", what, { next: "On the device: sshnpd --ssh-port PORT" }));
  } catch (error) {
    return failed("sshd", error instanceof Error ? streamError(error, attempt) : error);
  } finally {
    clearTimeout(late);
    stream.destroy();
  }
}

function withNext(error: SshnpError, next: string): SshnpError {
  return new DeniedError(error.code, error.message, { next });
}

function since(begun: number): string {
  return `${(performance.now() - begun).toFixed(0)} ms`;
}
