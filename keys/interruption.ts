import { SetupError } from "./errors.ts";

/**
 * Ctrl-C and SIGTERM, the same signal each time; a second one ends the process at once. `next`: what is to be done after it, as the
 * first who asks says.
 */
export function interruption(next = "The same command goes on where this one stopped."): AbortSignal {
  interrupted ??= listen(next);
  return interrupted;
}

let interrupted: AbortSignal | undefined;

function listen(next: string): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => controller.abort(new SetupError("E_INTERRUPTED", "Interrupted.", { next }));
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  return controller.signal;
}
