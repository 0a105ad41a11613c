import { parentPort, workerData } from "node:worker_threads";
import { type FuzzRun, fuzz, replay } from "./fuzzing.ts";
import type { Parser } from "./subject.ts";

/*
 * A thread that fuzzes what it is told to, one parser after the other. What it is at lies in shared memory, so that whoever
 * started it can say what hangs: number of inputs begun, number of this one, its length, its bytes.
 */

export interface WorkerData {
  readonly shared: SharedArrayBuffer;
}

export interface Order {
  readonly name: string;
  readonly run: FuzzRun;
  /** Hex of one input that is tried, in the place of all that `run` says. */
  readonly hex: string | undefined;
}

const { shared } = workerData as WorkerData;
const head = new Int32Array(shared, 0, 4);
const place = new Uint8Array(shared, 16);

function watch(index: number, input: Uint8Array): void {
  head[1] = index;
  head[2] = input.length;
  place.set(input.length > place.length ? input.subarray(0, place.length) : input);
  Atomics.add(head, 0, 1);
}

async function carryOut(parsers: readonly Parser[], { name, run, hex }: Order): Promise<object> {
  const parser = parsers.find((one) => one.name === name);
  if (parser === undefined) throw new Error(`no parser ${name}`);
  if (hex === undefined) return await fuzz(parser, run, watch);
  const input = new Uint8Array(Buffer.from(hex, "hex"));
  watch(run.from, input);
  const reason = await replay(parser, run, run.from, input);
  const failure = reason === undefined ? undefined : { index: run.from, reason, input, length: input.length };
  return { inputs: 1, accepted: 0, milliseconds: 0, failure };
}

function tell(message: object): void {
  parentPort?.postMessage(message, []);
}

/** Tells the other thread which parsers there are, and fuzzes what it asks for. */
export function serve(parsers: readonly Parser[]): void {
  Error.stackTraceLimit = 0; // a stack for every refusal would be most of the work
  parentPort?.on("message", (order: Order) => {
    void carryOut(parsers, order).then(
      (result) => tell({ result }),
      (error: unknown) => tell({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
  tell({ parsers: parsers.map(({ name, share = 1, because }) => ({ name, share, because })) });
}
