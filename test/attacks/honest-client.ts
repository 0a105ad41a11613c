import { once } from "node:events";
import { performance } from "node:perf_hooks";
import { parseMember, parseName } from "../../keys/names.ts";
import { connect } from "../../sshnp/connect.ts";
import { Progress } from "../../sshnp/progress.ts";
import type { Stack } from "../support/stack.ts";

/** A connect that works is far below this even on a busy machine. */
const PATIENCE_MS = 15_000;

/** Tells nobody anything. */
export class Silence extends Progress {
  constructor() {
    super(false);
  }

  override note(): void {}
}

/**
 * One connect as `sshnp` makes it, in this process, so that no start of a process is measured: from the request to the
 * first bytes of the device's SSH server. Returns the milliseconds.
 */
export async function honestConnect(stack: Stack, directory: string = stack.address): Promise<number> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const began = performance.now();
  const session = await connect(
    {
      client: undefined,
      device: { name: parseName("@device"), member: parseMember("mygateway") },
      owner: undefined,
      login: "",
      directory,
      keys: undefined,
      waitSeconds: 0,
      pushKey: undefined,
      verbose: false,
    },
    { keys: stack.client.keys, userKey: undefined, progress: new Silence(), signal },
  );
  const stream = session.open("ssh", { only: true });
  try {
    const broken = session.ended.then((error) => {
      throw error ?? new Error("the session ended before the device's SSH server had spoken");
    });
    broken.catch(() => {}); // at the end of every session
    const [first] = (await Promise.race([once(stream, "data", { signal }), broken])) as [Buffer];
    const taken = performance.now() - began;
    if (!first.toString("latin1").startsWith("SSH-2.0-"))
      throw new Error("the device's SSH server says something else");
    return taken;
  } finally {
    stream.on("error", () => {});
    await session.close();
  }
}
