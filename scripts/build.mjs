// npm run build: compiles the rooms to dist/ and makes the commands executable.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { build } from "vite";

const root = join(import.meta.dirname, "..");
const { bin } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

removeLeftovers();
try {
  execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
    cwd: root,
    stdio: "inherit",
  });
} catch {
  process.exit(1); // tsc has said why
}
await bundleClient();
for (const command of Object.values(bin)) {
  const file = join(root, command);
  if (existsSync(file)) chmodSync(file, 0o755);
}

/**
 * The client alone is bundled, because a person waits for its start-up, and the loading of a hundred small files would be
 * more than half of it (docs/decisions/0012-the-client-is-bundled.md).
 */
async function bundleClient() {
  await build({
    root,
    configFile: false,
    logLevel: "warn",
    ssr: { noExternal: true, external: ["age-encryption", "commander", "ws"], target: "node" },
    build: {
      ssr: "sshnp/main.ts",
      outDir: "dist/sshnp",
      emptyOutDir: true,
      minify: false,
      target: "node20",
      rolldownOptions: { output: { entryFileNames: "main.js", chunkFileNames: "[name]-[hash].js" } },
    },
  });
}

/** Compiled files whose source is gone would still be packed, and would still run. */
function removeLeftovers() {
  const dist = join(root, "dist");
  if (!existsSync(dist)) return;
  for (const file of readdirSync(dist, { recursive: true })) {
    const isCurrent = file.endsWith(".js") && existsSync(join(root, file.replace(/js$/, "ts")));
    if (!isCurrent && statSync(join(dist, file)).isFile()) rmSync(join(dist, file));
  }
}
