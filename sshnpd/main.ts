#!/usr/bin/env node
import type { Command } from "commander";
import { runCommandLine } from "../keys/command-line.ts";
import { endEvenWhileCompiling } from "../keys/exit.ts";
import { collectWholeHeapAtOnce, keepHeapSmall } from "../keys/small-heap.ts";
import { checkCommand, command } from "./cli.ts";
import { withNoPortsFlags } from "./noports-flags.ts";

keepHeapSmall();
collectWholeHeapAtOnce();
endEvenWhileCompiling();
// Nothing that this process makes is for others to read.
process.umask(0o077);

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(name, () => {
    if (stop.signal.aborted) process.exit(1); // asked for a second time
    stop.abort();
  });
}

// Whoever started this may have gone and read no more; the sessions have not.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

/** What is no daemon. */
const VERBS: Readonly<Record<string, () => Promise<Command>>> = {
  check: () => Promise.resolve(withNoPortsFlags(checking())),
  "ssh-ca": async () => (await import("./cli/ssh-ca.ts")).sshCaCommand(),
};

const [, , word = ""] = process.argv;
const verb = Object.hasOwn(VERBS, word) ? VERBS[word] : undefined;
const program =
  (await verb?.()) ??
  withNoPortsFlags(
    command(async (options) => {
      const { runDaemon } = await import("./daemon.ts");
      try {
        await runDaemon(options, stop.signal);
      } catch (error) {
        if (!stop.signal.aborted) throw error; // whatever was cut off by the wish to stop
      }
    }),
  );

function checking(): Command {
  process.argv.splice(2, 1);
  return checkCommand(async (options, json) => {
    const { check } = await import("./check.ts");
    await check(options, { json, signal: stop.signal });
  });
}

process.exit(await runCommandLine(program));
