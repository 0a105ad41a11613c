import type { Command } from "commander";
import { SetupError } from "../../keys/errors.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { openDataFolder, readAddress } from "../data-folder.ts";

/** `sshnp-directory address` */
export function addAddressCommand(program: Command): void {
  program
    .command("address")
    .description("Print the directory's address, with the fingerprint of its root key, as it was last served.")
    .requiredOption("--data <folder>", "the directory's data folder")
    .action(({ data }: { readonly data: string }) => printAddress(data));
}

async function printAddress(data: string): Promise<void> {
  const address = await readAddress(await openDataFolder(data));
  if (address === undefined) {
    throw new SetupError("E_NO_KEYS", `The directory in ${shellWord(data)} was never served.`, {
      next: `Serve it: sshnp-directory run --data ${shellWord(data)}`,
    });
  }
  process.stdout.write(`${address}\n`);
}
