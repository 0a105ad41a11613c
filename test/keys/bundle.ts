import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { build } from "vite";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

/** One file that Node runs as it is, in a folder that every user may pass through. */
export interface Bundle {
  readonly file: string;
  readonly folder: TemporaryFolder;
}

/** Makes a script of a TypeScript file of this folder and all that it imports. */
export async function bundle(entry: string): Promise<Bundle> {
  const folder = await temporaryFolder();
  await build({
    configFile: false,
    logLevel: "silent",
    ssr: { noExternal: true },
    build: {
      ssr: join(import.meta.dirname, entry),
      outDir: folder.path,
      emptyOutDir: false,
      rolldownOptions: { output: { entryFileNames: "script.mjs", codeSplitting: false } },
    },
  });
  await chmod(folder.path, 0o711);
  return { file: join(folder.path, "script.mjs"), folder };
}
