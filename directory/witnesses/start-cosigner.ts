import type { Logger } from "pino";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { WITNESS_ANSWER_MS } from "../../protocol/limits.ts";
import type { Clock } from "../clock.ts";
import type { Log } from "../log/log.ts";
import type { Store } from "../store.ts";
import { Cosigner } from "./cosigner.ts";

interface Options {
  readonly suite: CipherSuite;
  readonly store: Pick<Store, "witnesses">;
  readonly log: Logger;
  readonly acceptOlderLog?: boolean;
}

/** @throws {SetupError} E_LOG when a witness has cosigned what this log is no continuation of. */
export async function startCosigner(
  { suite, store, log, acceptOlderLog = false }: Options,
  statementLog: Log,
  clock: Clock,
): Promise<Cosigner> {
  const cosigner = new Cosigner({ suite, statementLog, log, now: () => clock.now() });
  cosigner.use(await store.witnesses());
  const older = await cosigner.askedOnce(AbortSignal.timeout(WITNESS_ANSWER_MS));
  if (older === undefined) return cosigner;
  if (acceptOlderLog) {
    log.warn({ reason: older.message }, "goes on all the same, as it was told to");
    return cosigner;
  }
  await cosigner[Symbol.asyncDispose]();
  throw older;
}
