import { randomBytes } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { SetupError } from "../../keys/errors.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { SETTINGS, type Settings } from "./setting.ts";

/** Puts a file for this user alone where another may be, whole or not at all; makes the folders above it. @throws {SetupError} E_STORAGE. */
export async function writeConfigurationFile(path: string, text: string): Promise<void> {
  const beside = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const handle = await open(beside, "wx", 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, path);
  } catch (cause) {
    await rm(beside, { force: true }).catch(() => {});
    throw notWritten(path, cause);
  }
}

/** @throws {SetupError} E_STORAGE. A file that is not there is as good as removed. */
export async function removeConfigurationFile(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
  } catch (cause) {
    throw notWritten(path, cause);
  }
}

/** Lines of TOML that {@link parseSettings} reads back. */
export function printSettings(settings: Settings): string {
  // What settings hold is printable, and in a string of TOML escaped as in one of JSON.
  return [...SETTINGS.keys()]
    .filter((key) => settings.has(key))
    .map((key) => `${key} = ${JSON.stringify(settings.get(key))}\n`)
    .join("");
}

function notWritten(path: string, cause: unknown): SetupError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown";
  return new SetupError("E_STORAGE", `Cannot write ${shellWord(path)} (${code}).`, {
    next: "Check its folder and the free space, then run this again.",
    cause,
  });
}
