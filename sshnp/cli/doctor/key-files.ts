import { join } from "node:path";
import { listKeyFiles } from "../../../keys/end-key-files.ts";
import { PrivateFolder } from "../../../keys/private-folder.ts";
import { shellWord } from "../../../keys/shell-word.ts";
import { noClientKeys } from "../../setup-texts.ts";
import { type Check, failed, ok } from "./check.ts";

/** The keys folder, its files and its state: there, and open to nobody else. */
export async function checkKeyFiles(path: string): Promise<Check> {
  try {
    const folder = await PrivateFolder.open(path);
    if (folder === undefined) throw noClientKeys(undefined, path);
    const entries = await listKeyFiles(folder); // and with it the modes of all members' files
    for (const { kind, path: file } of entries) {
      if (kind === "owner") await folder.read(file.slice(folder.path.length + 1), MAX_OWNER_FILE_BYTES);
    }
    const state = await PrivateFolder.open(join(folder.path, "state"));
    for (const file of (await state?.list()) ?? []) await state?.read(file, MAX_STATE_FILE_BYTES);
    const owners = entries.flatMap(({ kind, name }) => (kind === "owner" ? [name] : []));
    const members = entries.length - owners.length;
    const text = `${members} key ${members === 1 ? "file" : "files"} of members in ${shellWord(path)}, open to you alone`;
    if (owners.length === 0) return ok("key files", text);
    const hint = `The owner key of ${owners.join(", ")} lies here too. It speaks for the whole name: keep it off the machines.`;
    return ok("key files", text, hint);
  } catch (error) {
    return failed("key files", error);
  }
}

const MAX_OWNER_FILE_BYTES = 256 * 1024;
const MAX_STATE_FILE_BYTES = 16 * 1024 * 1024;
