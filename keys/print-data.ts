import { SetupError } from "./errors.ts";

/**
 * Writes to stdout what a command was asked for, and returns when the system has taken it. A reader that has gone, as of
 * `... | head`, is no failure. @throws {SetupError} E_STORAGE when it cannot be written, on a full disk for one.
 */
export async function printData(text: string): Promise<void> {
  process.stdout.off("error", ignore).on("error", ignore); // told below
  const error = await new Promise<NodeJS.ErrnoException | null | undefined>((resolve) => {
    process.stdout.write(text, resolve);
  });
  if (!error || error.code === "EPIPE" || error.code === "EIO") return;
  throw new SetupError("E_STORAGE", "What was asked for cannot be written to standard output.", {
    next: "Check the free space where it goes, then run this again.",
    cause: error,
  });
}

function ignore(): void {}
