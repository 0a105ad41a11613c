// node scripts/run-typescript.mjs FILE [ARGUMENT ...]: runs a TypeScript module of this repository as a program; it finds
// its arguments where any program does.
import { resolve } from "node:path";
import { withTypeScript } from "./load-typescript.mjs";

const [file] = process.argv.splice(2, 1);
process.argv[1] = resolve(file);
try {
  await withTypeScript(process.argv[1], async () => {});
} catch (error) {
  process.stderr.write(`${error?.stack ?? error}\n`);
  process.exitCode = 1;
}
