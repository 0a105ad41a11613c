// npm pack: what is packed is built first, in a fresh clone too.
import "./node-version.mjs";
import { SetUpError, setUp } from "./set-up.mjs";

try {
  await setUp({ commands: [], signal: new AbortController().signal });
  await import("./build.mjs");
} catch (error) {
  if (!(error instanceof SetUpError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
