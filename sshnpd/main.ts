#!/usr/bin/env node
import { CommanderError } from "commander";
import { printError } from "../keys/print-error.ts";
import { command } from "./cli.ts";

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(name, () => {
    if (stop.signal.aborted) process.exit(128 + { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 }[name]);
    stop.abort();
  });
}

// Whoever started this may have gone and read no more; the sessions have not.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

const program = command(async (options) => {
  const { runDaemon } = await import("./daemon.ts");
  await runDaemon(options, stop.signal);
}).exitOverride();

let status = 0;
try {
  await program.parseAsync();
} catch (error) {
  // commander has printed its own errors already; its help and version exit 0, its usage errors 2.
  if (error instanceof CommanderError) status = error.exitCode === 0 ? 0 : 2;
  else if (!stop.signal.aborted) status = printError("sshnpd", error);
}
process.exit(status);
