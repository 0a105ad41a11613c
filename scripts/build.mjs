// npm run build: compiles the rooms to dist/ and makes the commands executable.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

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
for (const command of Object.values(bin)) {
  const file = join(root, command);
  if (existsSync(file)) chmodSync(file, 0o755);
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
