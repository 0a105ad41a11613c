// npm run bench [-- OPTIONS]: our figures beside those of others, from the same run.
import "./node-version.mjs";
import { constants } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isBuilt } from "./built.mjs";
import { withTypeScript } from "./load-typescript.mjs";
import { run } from "./run.mjs";
import { root, SetUpError, setUp } from "./set-up.mjs";

const HELP = `Usage: npm run bench [-- OPTIONS]

Measures sshnp beside others on this machine, in one run, and prints a table: our figure, the peer's, and the
ratio. Installs haproxy, socat and OpenSSH where it may; chisel is used if it is there. A peer that is missing is
printed as "no peer". Let nothing else run meanwhile.

  --only PART    one part, may be repeated: PARTS
  --seconds N    how long each rate is measured (4); how long soak and idle-traffic last
  --devices N    how many devices the fleet has (5000)
  --people N     how many people ask for sessions with it, 20 a second each at most (60)
  --json FILE    where the results go as JSON (bench-results.json)
  --help         this text
`;

const stop = new AbortController();
let endedBy;
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(name, () => {
    endedBy ??= name;
    stop.abort();
  });
}

try {
  await main();
} catch (error) {
  process.exitCode = 1;
  if (error instanceof SetUpError) process.stderr.write(`${error.message}\n`);
  else if (endedBy === undefined) throw error;
}
if (endedBy !== undefined) {
  process.exitCode = 128 + constants.signals[endedBy];
  process.stderr.write("Interrupted. Everything that was started is ended and removed.\n");
}

async function main() {
  const { signal } = stop;
  const options = readOptions();
  await setUp({ commands: ["ss", "ssh", "sshd", "haproxy", "socat", "mosquitto", "postgres"], signal });
  await withTypeScript(join(root, "test/bench/main.ts"), async ({ PARTS, bench }) => {
    const parts = Object.keys(PARTS);
    if (options.help) return void process.stdout.write(HELP.replace("PARTS", parts.join(", ")));
    const unknown = options.only.find((name) => !parts.includes(name));
    if (unknown !== undefined) throw new SetUpError(`There is no part ${unknown}; there are ${parts.join(", ")}.`);
    if (!isBuilt(root)) {
      process.stderr.write("set-up: compiling\n");
      await run(process.execPath, [join(root, "scripts/build.mjs")], { signal });
    }
    await bench({ ...options, signal });
  });
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: "string", multiple: true, default: [] },
        seconds: { type: "string", default: "4" },
        devices: { type: "string", default: "5000" },
        people: { type: "string", default: "60" },
        json: { type: "string", default: join(root, "bench-results.json") },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    const seconds = Number(values.seconds);
    if (!(seconds > 0 && seconds <= 86_400)) throw new Error("--seconds is a number above 0, and at most 86400.");
    const devices = Number(values.devices);
    if (!Number.isInteger(devices) || devices < 1 || devices > 50_000) {
      throw new Error("--devices is a number from 1 to 50000.");
    }
    const people = Number(values.people);
    if (!Number.isInteger(people) || people < 1 || people > 1_000) {
      throw new Error("--people is a number from 1 to 1000.");
    }
    return { ...values, seconds, devices, people };
  } catch (error) {
    throw new SetUpError(`${error.message} See npm run bench -- --help`);
  }
}
