import { setTimeout as delay } from "node:timers/promises";
import { Command } from "commander";
import { DeniedError, SetupError, SshnpError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { printData } from "../../keys/print-data.ts";
import { PING_COUNT, PING_EVERY_MS } from "../../protocol/limits.ts";
import { connect, type Milestone } from "../connect.ts";
import { Progress } from "../progress.ts";
import type { Session } from "../session.ts";
import { readDefaults } from "../settings.ts";
import type { CommandEnd } from "../ssh-process.ts";
import { readTarget } from "../target.ts";
import {
  type DestinationFlags,
  destinationOf,
  withDestinationOptions,
  withJoinedWait,
  withWaitOption,
} from "./destination-options.ts";
import { untilInterrupted } from "./interruption.ts";
import { type LegTimes, legLines, pingJson, roundTripLine, summaryLine } from "./ping/text.ts";
import { runVerb } from "./run-verb.ts";

interface PingFlags extends DestinationFlags {
  readonly count: number;
  readonly json?: boolean;
}

/** `sshnp ping ...` */
export async function ping(words: readonly string[]): Promise<CommandEnd> {
  const command = new Command("sshnp ping")
    .description(
      "Make a session with a device, as any connect does, measure how long each part of the way takes, and close it. " +
        "Nothing is opened on the device; whoever may use anything of it may ping it.",
    )
    .argument("<names...>", "[@client] @device mygateway, or mygateway.device.np")
    .option("-c, --count <n>", "how many round trips", parseCount, 3)
    .option("--json", "as JSON, when all is over");
  withWaitOption(withDestinationOptions(command)).action((names: readonly string[], flags: PingFlags) =>
    untilInterrupted((signal) => measure(names, flags, signal)),
  );
  return await runVerb(command, withJoinedWait(words));
}

async function measure(words: readonly string[], flags: PingFlags, signal: AbortSignal): Promise<void> {
  const target = readTarget(words, readDefaults(process.env), USAGE);
  if (target.words < words.length) throw usage(`${quoted(words[target.words] ?? "")} is one word too many.`);
  if (target.user !== undefined) throw usage(`${quoted(target.user)} is a login, and nobody logs in for a ping.`);
  const destination = destinationOf(flags, target);
  const reached = new Map<Milestone, number>();
  const session = await connect(destination, {
    keys: destination.keys ?? "",
    service: "ping",
    asked: { verb: "ping", after: [] },
    userKey: undefined,
    progress: new Progress(destination.verbose),
    signal,
    onMilestone: (milestone) => reached.set(milestone, performance.now()),
  }).catch((error: unknown) => {
    throw asPingError(error, target.device);
  });
  try {
    await tell(session, reached, flags, signal);
  } finally {
    await session.close();
  }
}

/** Round trip by round trip, as they come. */
async function tell(
  session: Session,
  reached: ReadonlyMap<Milestone, number>,
  { count, json = false }: PingFlags,
  signal: AbortSignal,
): Promise<void> {
  const { device, directory } = session.attempt;
  const roundTrips = [await session.ping({ signal })];
  const times = timesOf(reached);
  const places = { directory, rendezvous: session.rendezvous };
  const print = async (text: string): Promise<void> => (json ? undefined : await printData(text));
  await print(legLines(device, places, times) + roundTripLine(1, roundTrips[0] ?? 0));
  try {
    while (roundTrips.length < count) {
      await delay(PING_EVERY_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
      const roundTrip = await session.ping({ signal });
      roundTrips.push(roundTrip);
      await print(roundTripLine(roundTrips.length, roundTrip));
    }
  } finally {
    await printData(json ? pingJson(device, places, times, roundTrips) : summaryLine(roundTrips));
  }
}

/** All have been reached once a round trip has come back. */
function timesOf(reached: ReadonlyMap<Milestone, number>): LegTimes {
  const since = (from: Milestone, to: Milestone): number => (reached.get(to) ?? NaN) - (reached.get(from) ?? NaN);
  return {
    ticket: since("asked", "ticket"),
    answer: since("asked", "answered"),
    dialled: since("dialling", "dialled"),
    joined: since("dialling", "joined"),
  };
}

/** What the directory refuses by a policy it refuses for every service now. */
function asPingError(error: unknown, { name, member }: { readonly name: string; readonly member: string }): unknown {
  if (!(error instanceof SshnpError) || error.code !== "E_POLICY" || error.message.startsWith("The policy"))
    return error;
  return new DeniedError(
    "E_POLICY",
    `The directory says that the policy of ${name} lets you use nothing of ${member} now.`,
    {
      next: `Its grants for you have hours, or have expired. Ask the owner of ${name}.`,
      cause: error,
    },
  );
}

function parseCount(text: string): number {
  const count = /^[1-9][0-9]{0,3}$/.test(text) ? Number(text) : NaN;
  if (count <= PING_COUNT) return count;
  throw new SetupError("E_USAGE", `-c ${quoted(text)} is not a number from 1 to ${PING_COUNT}.`, { next: USAGE });
}

function usage(fact: string): SetupError {
  return new SetupError("E_USAGE", fact, { next: USAGE });
}

const USAGE = "Usage: sshnp ping [-c N] [--wait[=10m]] [--json] [@client] @device mygateway";
