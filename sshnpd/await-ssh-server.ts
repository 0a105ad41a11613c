import { setTimeout as delay } from "node:timers/promises";
import { UnavailableError } from "../keys/errors.ts";
import { SSH_SERVER_POLL_MS } from "../protocol/limits.ts";
import type { HostKeys } from "./host-keys.ts";
import { listeningSockets } from "./listening-sockets.ts";
import type { Log } from "./log.ts";

export interface SshServerOptions {
  readonly hostKeys: Pick<HostKeys, "current">;
  readonly port: number;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Between two looks, in ms. */
  readonly pollMs?: number;
}

/**
 * Resolves when the device's SSH server answers, or `signal` is aborted. Where none does it warns at once, for otherwise
 * the first client would find out, and logs when one does: a machine that boots may start it after the daemon.
 * @throws {SetupError} E_NO_SSH when ssh-keyscan is missing.
 */
export async function awaitSshServer(options: SshServerOptions): Promise<void> {
  const { hostKeys, port, log, signal, pollMs = SSH_SERVER_POLL_MS } = options;
  let isMissing = false;
  while (!signal.aborted) {
    // Where nothing listens no program is started to find that out, but for the first time.
    if (!isMissing || (await listeningSockets(port)) !== "") {
      const missing = await hostKeys.current().then(() => undefined, noSshServer);
      if (signal.aborted) return;
      if (missing === undefined) {
        if (isMissing) log.info({ port }, "the SSH server answers now");
        return;
      }
      const { code, message: reason, next } = missing;
      if (!isMissing) log.warn({ code, reason, next }, "no SSH server answers yet");
      isMissing = true;
    }
    await delay(pollMs, undefined, { signal }).catch(() => {});
  }
}

function noSshServer(error: unknown): UnavailableError {
  if (error instanceof UnavailableError) return error;
  throw error;
}
