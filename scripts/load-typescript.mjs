// Runs a TypeScript module of the tests outside of vitest; Node 20 reads no TypeScript by itself.
import { root } from "./set-up.mjs";

/**
 * Loads `file` and all that it imports, now or later, from source, and calls `use` with what it exports.
 * @template T
 * @param {string} file absolute path
 * @param {(module: any) => Promise<T>} use
 * @returns {Promise<T>} what `use` returns
 */
export async function withTypeScript(file, use) {
  const { createServer, createServerModuleRunner } = await import("vite"); // set-up may just have installed it
  const server = await createServer({
    root,
    configFile: false,
    appType: "custom",
    logLevel: "error",
    optimizeDeps: { noDiscovery: true, include: [] },
    oxc: { target: "es2023" }, // `using` is newer than Node 20
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
  });
  const runner = createServerModuleRunner(server.environments.ssr, { hmr: false });
  try {
    return await use(await runner.import(file));
  } finally {
    await runner.close();
    await server.close();
  }
}
