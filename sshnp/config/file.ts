import { constants, type FileHandle, open } from "node:fs/promises";
import { SetupError } from "../../keys/errors.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { CONFIGURATION_BYTES } from "../../protocol/limits.ts";

/**
 * The text of a configuration file, undefined when there is none. Whoever can write it chooses the directory that is asked
 * and the keys that are used, so only this user and root may be able to.
 * @throws {SetupError} E_USAGE when others can write it, or it is no such file at all; E_STORAGE when it cannot be read.
 */
export async function readConfigurationFile(path: string): Promise<string | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return undefined;
    throw notRead(path, error);
  }
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw refused(path, "is no file.", "Take it away, or put a file in its place.");
    if (stat.uid !== 0 && stat.uid !== process.getuid?.()) {
      throw refused(path, "belongs to another user, who could change it.", `Run: chown "$USER" ${shellWord(path)}`);
    }
    if ((stat.mode & 0o022) !== 0) {
      throw refused(path, "can be written by other users.", `Run: chmod go-w ${shellWord(path)}`);
    }
    const { bytesRead, buffer } = await handle.read(
      Buffer.alloc(CONFIGURATION_BYTES + 1),
      0,
      CONFIGURATION_BYTES + 1,
      0,
    );
    if (bytesRead <= CONFIGURATION_BYTES) return buffer.toString("utf8", 0, bytesRead);
    throw refused(path, `is larger than ${CONFIGURATION_BYTES} bytes.`, "Settings take a few lines.");
  } catch (error) {
    if (error instanceof SetupError) throw error;
    throw notRead(path, error);
  } finally {
    await handle.close();
  }
}

function refused(path: string, fact: string, next: string): SetupError {
  return new SetupError("E_USAGE", `${shellWord(path)} ${fact}`, { next });
}

function notRead(path: string, cause: unknown): SetupError {
  return new SetupError("E_STORAGE", `Cannot read ${shellWord(path)} (${codeOf(cause)}).`, {
    next: "Check its permissions, and those of the folders above it. HOME, or XDG_CONFIG_HOME, must be a folder of this user.",
    cause,
  });
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}
