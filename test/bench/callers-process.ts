/** People who ask for sessions with devices of the fleet, many in one process (told-process.ts). */
import { setMaxListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { DirectoryClient } from "../../directory/client.ts";
import { fromHex } from "../../keys/bytes.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { Secret } from "../../keys/secret.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { activate, newPerson, random, suite } from "../directory/world.ts";
import { addName } from "../support/one-time-secrets.ts";
import { answerCommands } from "./answer-commands.ts";
import type { CallersAnswer, CallersCommand } from "./callers-commands.ts";
import { type Callee, type Caller, connectOnce, failureCode, partyOf } from "./simulated-session.ts";

const ACTIVATIONS_AT_ONCE = 8;
const PATIENCE_MS = 60_000; // of one session
const OUTSTANDING = 2_000; // sessions at once at a given rate; more are not asked for, and counted

const callers: Caller[] = [];
let devices: readonly Callee[] = [];
let nextCaller = 0;
/** Ends what goes on, when it is told to stop. */
let stop = new AbortController();
let running: Promise<CallersAnswer> | undefined;

await answerCommands(perform);

async function perform(command: CallersCommand): Promise<CallersAnswer> {
  switch (command.do) {
    case "activate":
      for (let first = 0; first < command.count; first += ACTIVATIONS_AT_ONCE) {
        const some = Math.min(ACTIVATIONS_AT_ONCE, command.count - first);
        await Promise.all(Array.from({ length: some }, (_, i) => activateCaller(command, first + i)));
      }
      return nothing();
    case "devices":
      devices = command.bindings.map((hash, number) => {
        const [name, member] = [parseName(command.name), parseMember(`d${number}`)];
        return { name, member, bindingHash: fromHex(hash, 32) };
      });
      return nothing();
    case "connect":
      stop = new AbortController();
      return await connect(command);
    case "begin":
      stop = new AbortController();
      running = connect({ ...command, do: "connect", seconds: Number.POSITIVE_INFINITY });
      return nothing();
    case "end": {
      stop.abort();
      const answer = await running;
      return answer ?? nothing();
    }
  }
}

async function activateCaller(
  { address, data, prefix }: Extract<CallersCommand, { do: "activate" }>,
  number: number,
): Promise<void> {
  const client = new DirectoryClient({ address: parseDirectoryAddress(address), suite, random });
  const name = parseName(`@${prefix}${number}`);
  const person = newPerson(name, parseMember("m"), "client");
  await activate(client, person, Secret.fromBytes(fromHex(await addName(data, name), 32)));
  callers.push({ client, sender: person.x25519, party: partyOf({ suite, random }, person) });
}

async function connect(command: Extract<CallersCommand, { do: "connect" }>): Promise<CallersAnswer> {
  const { seconds, perSecond, atOnce } = command;
  const times: number[] = [];
  const failures: Record<string, number> = {};
  const fail = (code: string): void => void (failures[code] = (failures[code] ?? 0) + 1);
  const cpu = process.cpuUsage();
  const begin = performance.now();
  const goesOn = (): boolean => performance.now() - begin < seconds * 1000 && !stop.signal.aborted;
  const one = async (): Promise<void> => {
    try {
      times.push(await connectAny());
    } catch (error) {
      fail(failureCode(error));
    }
  };
  if (perSecond === 0) {
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        while (goesOn()) await one();
      }),
    );
  } else {
    const going = new Set<Promise<void>>();
    for (let asked = 0; goesOn(); asked++) {
      const wait = begin + (asked * 1000) / perSecond - performance.now();
      if (wait > 1) await delay(wait, undefined, { signal: stop.signal }).catch(() => {});
      if (going.size >= OUTSTANDING) {
        fail("not asked");
        continue;
      }
      const session = one();
      going.add(session);
      void session.finally(() => going.delete(session));
    }
    await Promise.all(going);
  }
  const elapsedMs = performance.now() - begin;
  const { user, system } = process.cpuUsage(cpu);
  return { times: times.map((ms) => Math.round(ms * 10) / 10), failures, elapsedMs, cpuSeconds: (user + system) / 1e6 };
}

async function connectAny(): Promise<number> {
  const caller = callers[nextCaller++ % callers.length];
  const device = devices[Math.floor(Math.random() * devices.length)];
  if (caller === undefined || device === undefined) throw new Error("nobody to ask, or to be asked");
  const signal = AbortSignal.timeout(PATIENCE_MS);
  setMaxListeners(0, signal);
  return await connectOnce({ suite, random }, caller, device, signal);
}

function nothing(): CallersAnswer {
  return { times: [], failures: {}, elapsedMs: 0, cpuSeconds: 0 };
}
