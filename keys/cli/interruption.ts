import { SetupError } from "../errors.ts";

/** Ctrl-C and SIGTERM; a second one ends the process at once. */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => {
    controller.abort(
      new SetupError("E_INTERRUPTED", "Interrupted.", { next: "The same command goes on where this one stopped." }),
    );
  };
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  return controller.signal;
}
