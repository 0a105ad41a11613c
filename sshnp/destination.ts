import { resolve } from "node:path";
import { keysFolderPath } from "../keys/keys-folder.ts";
import { hostName } from "../keys/names.ts";
import { type Destination, parseKeysFolder } from "./command-line.ts";

/** Absolute path of the keys folder. @throws {SetupError} E_USAGE when it cannot be used. */
export function keysFolderOf(destination: Pick<Destination, "keys">): string {
  const isStated = destination.keys === undefined && Boolean(process.env["SSHNP_KEYS"]);
  return parseKeysFolder(resolve(keysFolderPath(destination.keys, process.env)), isStated ? "SSHNP_KEYS=" : undefined);
}

/** With all that would be read from the environment, for a command line that is run in another one. */
export function withSurroundingsStated<D extends Pick<Destination, "directory" | "witnesses">>(
  destination: D,
  env: Readonly<Record<string, string | undefined>>,
): D {
  const [, witnesses, keys] = /^([0-9]+):(.+)$/s.exec(env["SSHNP_WITNESSES"] ?? "") ?? [];
  const named = destination.witnesses?.witness?.length ? undefined : keys;
  return {
    ...destination,
    directory: destination.directory ?? (env["SSHNP_DIRECTORY"] || undefined),
    witnesses:
      named === undefined
        ? destination.witnesses
        : {
            ...destination.witnesses,
            witnesses: destination.witnesses?.witnesses ?? witnesses,
            witness: named.split(","),
          },
  };
}

/** A key is pushed, or certified, for one account, so ssh is asked which one when the command line does not say. */
export async function withLogin(destination: Destination, configuration: readonly string[]): Promise<Destination> {
  const needsLogin = destination.pushKey !== undefined || destination.sessionKey === true;
  if (!needsLogin || destination.login !== "") return destination;
  const { loginOf } = await import("./public-key.ts");
  return { ...destination, login: await loginOf([...configuration, hostName(destination.device)]) };
}
