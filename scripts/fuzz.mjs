// npm run fuzz [-- OPTIONS]: gives every parser of untrusted input many inputs that are nearly right; see --help.
// Progress goes to stderr, results to stdout. 0: every parser kept its promises, 1: one did not, 2: usage, 130: Ctrl-C.
import "./node-version.mjs";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import { build } from "vite";

const HELP = `Usage: npm run fuzz -- [options]

Gives each parser of test/fuzz/table.ts mutated valid samples and rubbish, and demands: a value or an error of ours, never
anything else; what is accepted is printed back the same; borders between chunks mean nothing; bounded time and memory.

  --inputs N      inputs for each parser (1000000)
  --enough N      end a parser after N inputs already, if its memory has hardly grown until then (as --inputs)
  --only NAME     only the parsers whose names contain NAME; may be given more than once
  --seed N        seed of all that is random (a new one, which is printed)
  --from N        number of the first input (0); with --seed and --inputs 1 it repeats one input
  --hex HEX       give the parsers named by --only this one input
  --suite native  seal and sign every input with the true primitives, not one in 500; slow
  --hang N        seconds without an end of one input that count as a hang (60)
  --worker FILE   another table of parsers than that of test/fuzz/worker.ts
  --jobs N        parsers at once (${availableParallelism()})
  --list          print the names of the parsers and exit
  --help          print this and exit
`;

const MAX_INPUT_BYTES = 256 * 1024;
/** Of a failing input; a longer one is repeated by its number. */
const PRINTED_BYTES = 2000;
const root = join(import.meta.dirname, "..");

const options = readOptions();
const interrupted = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => interrupted.abort());
const folder = mkdtempSync(join(tmpdir(), "sshnp-fuzz-"));
try {
  process.exitCode = await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function main() {
  const file = await bundle();
  if (interrupted.signal.aborted) return 130;
  const first = startWorker(file);
  const { parsers } = await first.message();
  const chosen = parsers.filter(
    ({ name }) => options.only.length === 0 || options.only.some((part) => name.includes(part)),
  );
  if (options.list) {
    for (const { name, share, because } of chosen) {
      const part = share === 1 ? "" : ` (${share} of the inputs${because === undefined ? "" : `: ${because}`})`;
      process.stdout.write(`${name}${part}\n`);
    }
    await first.worker.terminate();
    return 0;
  }
  if (chosen.length === 0) {
    await first.worker.terminate();
    return usage(`No parser is called like ${options.only.join(", ")}; --list names them.`);
  }
  process.stderr.write(`seed ${options.seed}, ${chosen.length} parsers\n`);
  const queue = [...chosen];
  let failed = 0;
  const lane = async (started) => {
    let thread = started;
    for (let parser = queue.shift(); parser !== undefined; parser = queue.shift()) {
      if (interrupted.signal.aborted) break;
      thread ??= await ready(startWorker(file));
      const end = await fuzzOne(thread, parser);
      if (interrupted.signal.aborted) break;
      if (end.failure !== undefined) failed++;
      report(parser, end);
      if (end.isDead) thread = undefined;
    }
    await thread?.worker.terminate();
  };
  const jobs = Math.min(options.jobs, chosen.length);
  await Promise.all(Array.from({ length: jobs }, (_, i) => lane(i === 0 ? first : undefined)));
  if (interrupted.signal.aborted) return 130;
  process.stdout.write(`${chosen.length - failed} parsers held, ${failed} did not\n`);
  return failed === 0 ? 0 : 1;
}

/** Bundles the fuzzer, so that it runs as fast as plain JavaScript does. */
async function bundle() {
  await build({
    root,
    configFile: false,
    logLevel: "error",
    ssr: { noExternal: true, external: ["level", "ws"], target: "node" },
    build: {
      ssr: options.worker,
      outDir: folder,
      minify: false,
      target: "node20",
      rolldownOptions: { output: { entryFileNames: "worker.mjs", chunkFileNames: "[name]-[hash].mjs" } },
    },
  });
  setFlagsFromString("--expose-gc"); // for the workers: what a run keeps is known only after collection
  return join(folder, "worker.mjs");
}

function startWorker(file) {
  const shared = new SharedArrayBuffer(16 + MAX_INPUT_BYTES);
  const worker = new Worker(file, { workerData: { shared }, resourceLimits: { maxYoungGenerationSizeMb: 96 } });
  const messages = [];
  let wake = () => {};
  const tell = (message) => {
    messages.push(message);
    wake();
  };
  worker.on("message", tell);
  worker.on("error", (error) => tell({ error: error.stack ?? String(error) }));
  worker.on("exit", () => tell({ error: "the fuzzing thread ended" }));
  const message = async () => {
    if (messages.length === 0) await new Promise((resolve) => (wake = resolve));
    return messages.shift();
  };
  return { worker, shared, head: new Int32Array(shared, 0, 4), message };
}

async function ready(thread) {
  await thread.message();
  return thread;
}

/** Fuzzes one parser in a thread, which is dead afterwards if the parser hung or threw where nobody could catch it. */
async function fuzzOne(thread, { name, share }) {
  const inputs = options.hex === undefined ? Math.max(1, Math.round(options.inputs * share)) : 1;
  const enough = Math.max(1, Math.round((options.enough ?? options.inputs) * share));
  const run = { seed: options.seed, from: options.from, inputs, enough, suite: options.suite };
  const begun = Atomics.load(thread.head, 0);
  const input = () => {
    const length = Math.min(thread.head[2], MAX_INPUT_BYTES);
    return { index: thread.head[1], input: Buffer.from(new Uint8Array(thread.shared, 16, length).slice()), length };
  };
  let last = begun;
  let since = performance.now();
  let stop = () => {};
  const watching = new Promise((resolve) => (stop = resolve));
  const timer = setInterval(() => {
    const now = Atomics.load(thread.head, 0);
    if (now !== last) [last, since] = [now, performance.now()];
    progress(name, now - begun, inputs);
    // Until the first input it makes samples, which is long work for some.
    if (now > begun && performance.now() - since > 1000 * options.hang) stop("hang");
  }, 500);
  const abort = () => stop("interrupted");
  interrupted.signal.addEventListener("abort", abort);
  if (interrupted.signal.aborted) abort();
  thread.worker.postMessage({ name, run, hex: options.hex }, []);
  const end = await Promise.race([thread.message(), watching]);
  clearInterval(timer);
  interrupted.signal.removeEventListener("abort", abort);
  progress();
  if (end === "interrupted" || end === "hang") {
    await thread.worker.terminate();
    return { isDead: true, failure: { ...input(), reason: `no end after ${options.hang} s` } };
  }
  if (end.error !== undefined) {
    await thread.worker.terminate();
    return { isDead: true, failure: { ...input(), reason: end.error } };
  }
  return { ...end.result, isDead: false };
}

function report({ name, share }, { inputs, accepted, milliseconds, failure }) {
  if (failure === undefined) {
    const rate = options.hex === undefined ? `${Math.round((100 * accepted) / inputs)} % accepted` : "held";
    const part = share === 1 ? "" : `  (a share of ${share})`;
    process.stdout.write(
      `${name.padEnd(42)} ${String(inputs).padStart(8)} inputs  ${rate.padStart(14)}  ${(milliseconds / 1000).toFixed(1)} s${part}\n`,
    );
    return;
  }
  process.stdout.write(`FAILED  ${name}: ${failure.reason}\n`);
  if (failure.input === undefined) {
    process.stdout.write(
      `  again: npm run fuzz -- --only ${quoted(name)} --seed ${options.seed} --inputs ${options.inputs}\n`,
    );
    return;
  }
  const place = `--only ${quoted(name)} --seed ${options.seed} --from ${failure.index}${options.suite === "native" ? " --suite native" : ""}`;
  const bytes = Buffer.from(failure.input);
  const shorter = bytes.length < failure.length ? `, made shorter from ${failure.length}` : "";
  const again =
    bytes.length > PRINTED_BYTES ? "" : `  again: npm run fuzz -- ${place} --hex ${bytes.toString("hex") || "''"}\n`;
  process.stdout.write(
    `  input, ${bytes.length} bytes${shorter}: ${bytes.toString("hex", 0, PRINTED_BYTES)}${again === "" ? "..." : ""}\n${again}` +
      `  as it was met: npm run fuzz -- ${place} --inputs 1\n`,
  );
}

/** A word for a shell. */
function quoted(name) {
  return `'${name.replaceAll("'", "'\\''")}'`;
}

let shown = "";
/** One line on a terminal that is written over and over. */
function progress(name, done, all) {
  if (!process.stderr.isTTY) return;
  const text = name === undefined ? "" : `${name} ${Math.floor((100 * done) / all)} %`;
  process.stderr.write(`\r${" ".repeat(shown.length)}\r${text}`);
  shown = text;
}

function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        inputs: { type: "string", default: "1000000" },
        enough: { type: "string" },
        only: { type: "string", multiple: true, default: [] },
        seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
        from: { type: "string", default: "0" },
        hex: { type: "string" },
        suite: { type: "string", default: "mixed" },
        hang: { type: "string", default: "60" },
        worker: { type: "string", default: "test/fuzz/worker.ts" },
        jobs: { type: "string", default: String(availableParallelism()) },
        list: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }));
  } catch (error) {
    process.exit(usage(error.message));
  }
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  for (const name of ["inputs", "enough", "seed", "from", "hang", "jobs"]) {
    if (values[name] === undefined) continue;
    const least = name === "seed" || name === "from" ? 0 : 1;
    if (!/^[0-9]{1,10}$/.test(values[name]) || Number(values[name]) < least) {
      process.exit(usage(`--${name} ${values[name]} is not a whole number from ${least}.`));
    }
    values[name] = Number(values[name]);
  }
  if (values.hex !== undefined && (!/^(?:[0-9a-f]{2})*$/.test(values.hex) || values.only.length === 0)) {
    process.exit(usage("--hex takes lower-case hex and goes with --only."));
  }
  if (!["mixed", "native"].includes(values.suite))
    process.exit(usage(`--suite ${values.suite} is neither mixed nor native.`));
  return values;
}

function usage(problem) {
  process.stderr.write(`${problem}\n\n${HELP}`);
  return 2;
}
