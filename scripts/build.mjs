// npm run build: compiles the rooms to dist/, makes the commands executable, and writes man/ and dist/completion/.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "vite";
import { hashOfSources, noteBuilt } from "./built.mjs";
import { completionScripts } from "./words/completions.mjs";
import { describeCommands } from "./words/descriptions.mjs";
import { manualPages } from "./words/manuals.mjs";

const root = join(import.meta.dirname, "..");
const { bin, version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

const sources = hashOfSources(root);
removeLeftovers();
try {
  execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
    cwd: root,
    stdio: "inherit",
  });
} catch {
  process.exit(1); // tsc has said why
}
// The client's plain files go: nobody reads them. Those of the others stay beside the bundles, for the programs that the daemon
// starts.
// As CommonJS, without the loader of modules, which brings much of Node with it. Nothing outside may be a module, then: Node requires
// such only from 22.12 on.
await bundle("sshnp", {
  format: "cjs",
  external: ["commander", "ws", "cpu-features"],
  emptyOutDir: true,
  // Each with all that it imports: what is loaded until ssh is started, until the first packet, and while that is on its way.
  groups: [
    { name: "front", test: /sshnp\/(run-session|setup-texts|tune-heap)\.ts$/, priority: 3 },
    { name: "connect", test: /sshnp\/connect\.ts$|protocol\/suite\/native\.ts$/, priority: 2 },
    { name: "negotiate", test: /sshnp\/negotiate\.ts$|protocol\/suite\/ml-kem\.ts$/, priority: 1 },
  ],
});
await bundle("sshnpd", {
  external: ["age-encryption", "@lydell/node-pty", "cpu-features"],
  emptyOutDir: false,
  groups: [],
});
// Commander stays outside: it is asked what to write into the man pages.
for (const room of ["keys", "directory", "rendezvous"]) {
  await bundle(room, { external: ["age-encryption", "commander", "level", "pg"], emptyOutDir: false, groups: [] });
}
writeFileSync(join(root, "dist/sshnp/package.json"), '{ "type": "commonjs" }\n');
for (const command of Object.values(bin)) {
  const file = join(root, command);
  if (existsSync(file)) chmodSync(file, 0o755);
}

await writeWords();
noteBuilt(root, sources);

/** Man pages in man/, and completion for shells in dist/completion: what the commands that were just built say of themselves. */
async function writeWords() {
  const commands = await describeCommands(root, bin);
  const date = new Date((Number(process.env.SOURCE_DATE_EPOCH) || Date.now() / 1000) * 1000).toISOString().slice(0, 10);
  writeFiles(join(root, "man"), manualPages(commands, { version, date }));
  writeFiles(join(root, "dist/completion"), completionScripts(commands));
}

function writeFiles(folder, files) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const [name, text] of files) writeFileSync(join(folder, name), text);
}

/**
 * Because a person waits for the start-up of the client, and the daemon is held to 60 MB of memory; the others have both
 * from it as well (docs/decisions/0012-the-commands-are-bundled.md). What is seldom needed stays outside, in `external`.
 */
async function bundle(room, { format = "es", external, emptyOutDir, groups }) {
  await build({
    root,
    configFile: false,
    logLevel: "warn",
    define: format === "es" ? { __dirname: "import.meta.dirname" } : {}, // ssh2 is CommonJS
    ssr: { noExternal: true, external, target: "node" },
    build: {
      ssr: `${room}/main.ts`,
      outDir: `dist/${room}`,
      emptyOutDir,
      minify: false,
      target: "node20",
      license: { fileName: "licenses.md" },
      rolldownOptions: {
        output: {
          ...{ format, dynamicImportInCjs: false, codeSplitting: { groups } },
          ...{ entryFileNames: "main.js", chunkFileNames: "[name]-[hash].js" },
        },
      },
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
