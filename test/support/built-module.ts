import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type RunAs, type RunInside, type RunningProcess, startProcess } from "./processes.ts";
import type { TemporaryFolder } from "./temp-folder.ts";

const ROOT = join(import.meta.dirname, "../..");

/**
 * Runs `script` (a module) in a process of its own. There `await load("keys/names.js")` gives a built file of dist/, and
 * `argument` is the text given here.
 */
export function startBuilt(
  home: Pick<TemporaryFolder, "path">,
  script: string,
  argument = "",
  user?: RunAs,
  namespace?: RunInside,
): RunningProcess {
  const dist = pathToFileURL(join(user?.installation ?? ROOT, "dist/")).href;
  const prelude = `const load = (file) => import(new URL(file, ${JSON.stringify(dist)}));
    const argument = ${JSON.stringify(argument)};`;
  const options = { cwd: "/", env: { HOME: home.path }, ...(user && { user }), ...(namespace && { namespace }) };
  return startProcess(process.execPath, ["--input-type=module", "-e", `${prelude}\n${script}`], options);
}
