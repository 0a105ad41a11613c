import { Command } from "commander";
import { SetupError } from "../../keys/errors.ts";
import { parseCommandWords, withPorts } from "../forward/command-words.ts";
import type { ForwardPlan } from "../forward/run-forward.ts";
import { parseBind, parseIdleTime, parseLocalPort, parsePortForward, parseSocketForward } from "../forward/spec.ts";
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
import { runVerb } from "./run-verb.ts";

interface ForwardFlags extends DestinationFlags {
  readonly bind?: string;
  readonly socks?: string;
  readonly unix: readonly string[];
  readonly keepAlive?: boolean;
  readonly exec?: string;
  readonly timeout?: string;
  readonly printPort?: boolean;
  readonly json?: boolean;
}

/** `sshnp forward ...`: local ports to whatever a device reaches, without ssh. */
export async function forward(words: readonly string[]): Promise<CommandEnd> {
  const { fromNpt, isNoPorts, NPT_FLAGS } = await import("../noports-flags.ts");
  if (!isNoPorts(words, NPT_FLAGS)) return await run(withJoinedWait(words));
  const ours = fromNpt(words);
  for (const note of ours.notes) process.stderr.write(`sshnp: ${note}\n`);
  return await run(withJoinedWait(ours.words));
}

async function run(words: readonly string[]): Promise<CommandEnd> {
  let end: CommandEnd | undefined;
  const command = new Command("sshnp forward")
    .usage("[options] [@client] @device mygateway [[BIND:]LPORT:HOST:RPORT | LPORT:RPORT | RPORT ...]")
    .description("Forwards local ports to any host and port that a device reaches and permits, without ssh.")
    .argument("[words...]", "whom, and what; without HOST the device itself, without LPORT any free port")
    .option("--bind <address>", "where to listen, instead of 127.0.0.1 and ::1")
    .option("--socks <port>", "a SOCKS5 server; the device resolves the names")
    .option("--unix <path:host:port>", "a Unix socket that only you can connect to", collect, [])
    .option("--keep-alive", "make a new session when one is lost; connections wait for it")
    .option("--exec <command>", "run this, {port} being the local port, and end with its status; no shell reads it")
    .option("--timeout <time>", "end when there was no connection for so long: 30s, 10m, 2h")
    .option("--print-port", "print the local port on stdout, nothing else")
    .option("--json", "print events on stdout, one JSON object a line, and errors on stderr the same way");
  withWaitOption(withDestinationOptions(command)).action(async (given: readonly string[], flags: ForwardFlags) => {
    const target = readTarget(given, readDefaults(process.env), USAGE);
    const destination = destinationOf(flags, target);
    const plan = planOf(flags, given.slice(target.words));
    const { runForward } = await import("../forward/run-forward.ts");
    end = await runForward(plan, destination);
  });
  const before = await runVerb(command, words);
  return end === undefined ? before : { ...end, json: words.includes("--json") };
}

const USAGE = "Usage: sshnp forward [options] [@client] @device mygateway 8080:localhost:80; see sshnp forward --help";

/** @throws {SetupError} E_USAGE. */
function planOf(flags: ForwardFlags, specs: readonly string[]): ForwardPlan {
  const { bind, socks, unix, exec, timeout, printPort = false, json = false, keepAlive = false } = flags;
  if (specs.length === 0 && socks === undefined && unix.length === 0) {
    throw new SetupError("E_USAGE", "What to forward is missing.", { next: USAGE });
  }
  if (exec !== undefined && (printPort || json)) {
    throw new SetupError("E_USAGE", "What --exec runs has standard output for itself.", {
      next: "Leave out --print-port and --json; the command is given the port as {port}.",
    });
  }
  if (printPort && json) {
    throw new SetupError("E_USAGE", "--print-port prints the port alone, --json tells it among events.", {
      next: "Give one of them.",
    });
  }
  const command = exec === undefined ? undefined : parseCommandWords(exec);
  // A port that there will not be is told now.
  if (command !== undefined) withPorts(command, Array(specs.length + (socks === undefined ? 0 : 1)).fill(1));
  return {
    ports: specs.map(parsePortForward),
    sockets: unix.map(parseSocketForward),
    socks: socks === undefined ? undefined : parseLocalPort(socks),
    bind: bind === undefined ? "loopback" : parseBind(bind),
    keepAlive,
    command,
    idleMs: timeout === undefined ? undefined : parseIdleTime(timeout),
    printPort,
    json,
    asked: {
      verb: "forward",
      after: [
        ...specs,
        ...(socks === undefined ? [] : ["--socks", socks]),
        ...unix.flatMap((spec) => ["--unix", spec]),
        ...(keepAlive ? ["--keep-alive"] : []),
      ],
    },
  };
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
