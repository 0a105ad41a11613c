import { SetupError } from "../errors.ts";

/** Ctrl-C and SIGTERM, the same signal each time; a second one ends the process at once. */
export function interruption(): AbortSignal {
  interrupted ??= listen();
  return interrupted;
}

let interrupted: AbortSignal | undefined;

function listen(): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => {
    controller.abort(
      new SetupError("E_INTERRUPTED", "Interrupted.", { next: "The same command goes on where this one stopped." }),
    );
  };
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  return controller.signal;
}
