// node scripts/run-typescript.mjs FILE [ARGUMENT ...]: runs a TypeScript module of this repository as a program; it finds
// its arguments where any program does. Node 20 does not strip types itself.
import { join, resolve } from "node:path";
import { createServer } from "vite";

const [file] = process.argv.splice(2, 1);
process.argv[1] = resolve(file);
const server = await createServer({
  root: join(import.meta.dirname, ".."),
  configFile: false,
  logLevel: "error",
  appType: "custom",
  oxc: { target: "node20" },
  optimizeDeps: { noDiscovery: true },
  server: { middlewareMode: true, hmr: false, ws: false, watch: null },
});
try {
  await server.ssrLoadModule(process.argv[1]);
} catch (error) {
  process.stderr.write(`${error?.stack ?? error}\n`);
  process.exitCode = 1;
} finally {
  await server.close();
}
