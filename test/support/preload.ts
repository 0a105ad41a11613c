/** A NODE_OPTIONS that runs a module in every process of Node that inherits it, ahead of its own. */
export function preloading(...modules: readonly string[]): { readonly NODE_OPTIONS: string } {
  const urls = modules.map((text) => `--import=data:text/javascript,${encodeURIComponent(text)}`);
  return { NODE_OPTIONS: urls.join(" ") };
}

/** A clock that is off by so many milliseconds. */
export function clockOffBy(ms: number): string {
  return `const RealDate = Date;
    globalThis.Date = class extends RealDate {
      constructor(...words) { words.length === 0 ? super(RealDate.now() + ${ms}) : super(...words); }
      static now() { return RealDate.now() + ${ms}; }
    };`;
}

/** At its end, a line `SCRIPT VERB PEAK` into the file: what it has run, and the most memory it ever had, in bytes. */
export function peakInto(file: string): string {
  return `import { appendFileSync, readFileSync } from "node:fs";
    process.on("exit", () => {
      const [, peak] = /^VmHWM:\\s+(\\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
      appendFileSync(${JSON.stringify(file)}, \`\${process.argv[1]} \${process.argv[2]} \${peak * 1024}\\n\`);
    });`;
}

/** Sends the process a signal ahead of its nth change to the disk, counted from 1; at its end it tells how many there were. */
export function signalAt(change: number, signal: "SIGKILL" | "SIGINT"): Record<string, string> {
  return preloading(`import promises from "node:fs/promises";
    import { syncBuiltinESMExports } from "node:module";
    let changes = 0;
    for (const name of ["mkdir", "open", "link", "rename", "rm", "rmdir"]) {
      const real = promises[name];
      promises[name] = (...words) => {
        const isRead = name === "open" && (words[1] & 0o103) === 0;
        if (!isRead && (changes += 1) === ${change}) process.kill(process.pid, "${signal}");
        return real(...words);
      };
    }
    process.on("exit", () => process.stderr.write(\`changes: \${changes}\\n\`));
    syncBuiltinESMExports();`);
}

/** Whatever is to take the place of a file whose path ends so, does it only after so many milliseconds. */
export function slowRename(end: string, ms: number): string {
  return `import promises from "node:fs/promises";
    import { syncBuiltinESMExports } from "node:module";
    const real = promises.rename;
    promises.rename = async (from, to) => {
      if (String(to).endsWith(${JSON.stringify(end)})) await new Promise((resolve) => setTimeout(resolve, ${ms}));
      return await real(from, to);
    };
    syncBuiltinESMExports();`;
}
