import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import {
  filesBelow,
  findCycles,
  type GlobalUse,
  type ImportGraph,
  readImportGraph,
  reachableFrom,
  type SourceFile,
} from "./support/import-graph.ts";
import { temporaryFolder } from "./support/temp-folder.ts";

const ROOT = join(import.meta.dirname, "..");

// What a room may import beside its own files: a whole room, or one file of it.
const TABLE: Readonly<Record<string, readonly string[]>> = {
  keys: [],
  protocol: ["keys"],
  directory: ["protocol", "keys"],
  rendezvous: ["protocol", "keys", "directory/client.ts"],
  sshnpd: ["protocol", "keys", "directory/client.ts", "rendezvous/client.ts"],
  sshnp: ["protocol", "keys", "directory/client.ts", "rendezvous/client.ts"],
};
const ROOMS = Object.keys(TABLE);

// A room's main.ts and cli/ may import these as well; and nothing imports them but the room's main.ts its own cli/.
const SHELLS_MAY_IMPORT = ["protocol", "keys", ...ROOMS.map((room) => `${room}/client.ts`)];

// Theorem 1: the rendezvous registers with sealed messages and copies bytes. It can neither take part in a session nor
// read one, and never meets the key files of the ends.
const RENDEZVOUS_NEVER_REACHES = [
  "protocol/noise/ikhfs-psk2.ts",
  "protocol/session/",
  "protocol/channel/",
  "keys/end-key-files.ts",
];

// Theorem 2: the protocol, with all it reaches, knows no socket, clock, disk, randomness, timer or logger. These two
// files may import that one built-in each, and use the Buffer it hands out.
const PROTOCOL_BUILTINS = new Map([
  ["protocol/suite/native.ts", "node:crypto"],
  ["protocol/channel/stream-adapter.ts", "node:stream"],
]);
const PROTOCOL_PACKAGES = [
  "@noble/ciphers",
  "@noble/curves",
  "@noble/hashes",
  "@noble/post-quantum",
  "valibot",
  "yaml",
];
const IMPURE_GLOBALS = new Set(
  (
    "process Buffer setTimeout setInterval setImmediate queueMicrotask performance crypto console fetch WebSocket " +
    "navigator globalThis global self eval Function require"
  ).split(" "),
);
const PURE_USES_OF_DATE = [".parse", ".UTC", "new", "type"];

// Packages that are part of what `npm run build` makes, and so no dependencies of who installs it; each in the folders that
// may load them. docs/decisions/0025-the-built-in-ssh.md
const BUNDLED: Readonly<Record<string, readonly string[]>> = { ssh2: ["sshnpd/builtin/", "sshnp/native/"] };

// Private keys are read in one file for the ends and in one for the services.
const END_KEY_FILES = "keys/end-key-files.ts";
const SERVICE_KEY_FILES = "keys/service-key-files.ts";

test("the sources keep the import table, the trust boundaries and the purity of the protocol", () => {
  expect(
    violations(
      readImportGraph(
        ROOT,
        ROOMS.filter((room) => existsSync(join(ROOT, room))),
      ),
    ),
  ).toEqual([]);
});

test("every file that a rule names exists", () => {
  const named = [...RENDEZVOUS_NEVER_REACHES, ...PROTOCOL_BUILTINS.keys(), END_KEY_FILES, SERVICE_KEY_FILES];
  const commands = Object.values(packageJson().bin).map((file) => file.replace(/^dist\/(.*)\.js$/, "$1.ts"));
  if (!existsSync(join(ROOT, "rendezvous/main.ts"))) return;
  expect([...ROOMS, ...named, ...commands].filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

test("no file names a place of one machine, and only .ci/run what lies beside the repository", () => {
  const outside = (text: string): boolean => text.includes(["..", "shared"].join("/"));
  const oneMachine = /\/(?:work|root|tmp\/team)\/|registry\.[a-z]+\.[a-z]+\/|npmjs\.[a-z]|deb\.debian/;
  const found = repositoryFiles().filter((path) => {
    const text = readFileSync(join(ROOT, path), "utf8");
    return oneMachine.test(text) || (outside(text) && path !== ".ci/run");
  });
  expect(found).toEqual([]);
});

const HARMLESS = {
  "keys/names.ts": "export const name = 1;",
  "keys/end-key-files.ts": 'import "node:fs"; import "./names.ts"; export const suffix = ".npkeys";',
  "keys/service-key-files.ts": 'import "node:fs";',
  "keys/main.ts": 'import "commander"; import "../directory/client.ts"; import "./cli/activate.ts";',
  "keys/cli/activate.ts": 'import "../end-key-files.ts"; import "./words.ts";',
  "keys/cli/words.ts": "export {};",
  "protocol/ticket.ts": `
    // import "node:fs"; process.exit()
    /* await import("../directory/store.ts") */
    import { name } from "../keys/names.ts";
    import type { Sealed } from "@noble/hashes/sha2.js";
    const text = 'import "node:net"; Date.now()';
    export const template = \`\${name} import("node:net") process\`;
    export const pure = { fetch: 1, process() { return text.crypto ?? Math.floor(new Date(1).getTime() + Date.parse("")); } };
    export const pattern = /import "node:fs"/;
    export type Kept = Sealed & { console: Date };`,
  "protocol/noise/ikhfs-psk2.ts": 'import "../ticket.ts";',
  "protocol/session/initiator.ts": 'import "../noise/ikhfs-psk2.ts";',
  "protocol/channel/stream-adapter.ts": 'import { Transform } from "node:stream"; export type Chunk = Buffer;',
  "protocol/suite/native.ts": 'import "node:crypto";',
  "directory/client.ts": 'import "../protocol/ticket.ts"; setTimeout(Date.now);',
  "directory/store.ts": 'import "level"; import "../keys/service-key-files.ts"; import "./client.ts";',
  "directory/main.ts": 'import "../rendezvous/client.ts"; void import("./store.ts");',
  "rendezvous/client.ts": 'import "../protocol/channel/stream-adapter.ts";',
  "rendezvous/lobby.ts": 'import "../protocol/ticket.ts";',
  "rendezvous/main.ts": 'import "./lobby.ts"; import "../directory/client.ts";',
  "sshnpd/builtin/ssh2.ts": 'import "ssh2"; import "ssh2/lib/protocol/constants.js";',
  "sshnpd/main.ts": 'import "../protocol/session/initiator.ts"; import "../keys/end-key-files.ts";',
  "sshnp/connect.ts": 'import "../rendezvous/client.ts"; import "../directory/client.ts";',
};

test("sources that keep every rule are accepted, whatever their comments and strings say", async () => {
  expect(await violationsWith({})).toEqual([]);
});

// Each line is a breach: the file that is added or replaced, its text, and the report.
const BREACHES = `
keys/names.ts     import "../protocol/limits.ts";                       must not import protocol/limits.ts
keys/names.ts     import type { A } from "../protocol/limits.ts";       must not import protocol/limits.ts
keys/names.ts     export type A = import("../protocol/limits.ts").A;    must not import protocol/limits.ts
keys/names.ts     export * from "../protocol/limits.ts";                must not import protocol/limits.ts
keys/names.ts     export { a } from "../protocol/limits.ts";            must not import protocol/limits.ts
keys/names.ts     await import("../protocol/limits.ts");                must not import protocol/limits.ts
keys/names.ts     import a = require("../protocol/limits.ts");          must not import protocol/limits.ts
protocol/a.ts     import "../directory/client.ts";                      must not import directory/client.ts
directory/a.ts    import "../rendezvous/client.ts";                     must not import rendezvous/client.ts
rendezvous/a.ts   import "../directory/store.ts";                       must not import directory/store.ts
sshnp/a.ts        import "../rendezvous/lobby.ts";                      must not import rendezvous/lobby.ts
sshnp/a.ts        import "../sshnpd/link.ts";                           must not import sshnpd/link.ts
sshnpd/a.ts       import "../sshnp/connect.ts";                         must not import sshnp/connect.ts
keys/cli/a.ts     import "../../directory/store.ts";                    must not import directory/store.ts
sshnpd/a.ts       import "./main.ts";                                   must not import sshnpd/main.ts
keys/a.ts         import "./cli/activate.ts";                           must not import keys/cli/activate.ts
sshnp/main.ts     import "../keys/cli/words.ts";                        must not import keys/cli/words.ts
keys/a.ts         import "../test/support/a.ts";                        must not import test/support/a.ts
keys/a.ts         import "../scripts/a.ts";                             must not import scripts/a.ts
keys/a.ts         import "/keys/names.ts";                              must not import /keys/names.ts
keys/a.ts         import "./nothing.ts";                                imports keys/nothing.ts, which does not exist
keys/a.ts         import "./names.js";                                  imports keys/names.js, which does not exist
keys/a.ts         import "left-pad";                                    imports left-pad, which is no dependency
keys/a.ts         import "vitest";                                      imports vitest, which is no dependency
keys/a.ts         import "sshnp/keys/names.ts";                         imports sshnp, which is no dependency
keys/a.ts         import "#names";                                      imports #names, which is no dependency
sshnp/a.ts        import "ssh2";                                        imports ssh2, which is no dependency
sshnp/a.ts        import "net";                                         imports net without node:
sshnp/a.ts        import "node:module";                                 imports node:module, a way around imports
sshnp/a.ts        await import(file);                                   cannot be read: an import whose target is computed
sshnp/a.ts        import {                                              cannot be read: Expected
sshnp/a.js        export {};                                            is no .ts file
keys/names.ts     import "./end-key-files.ts";                          imports itself: keys/end-key-files.ts
keys/names.ts     import type {} from "./end-key-files.ts";             imports itself: keys/end-key-files.ts
keys/names.ts     import "./names.ts";                                  imports itself: keys/names.ts
rendezvous/main.ts  import "../protocol/noise/ikhfs-psk2.ts";           must not reach protocol/noise/ikhfs-psk2.ts
rendezvous/main.ts  import type {} from "../protocol/session/a.ts";     must not reach protocol/session/a.ts
rendezvous/main.ts  import "./client.ts";                               must not reach protocol/channel/stream-adapter.ts
rendezvous/main.ts  import "../keys/end-key-files.ts";                  must not reach keys/end-key-files.ts
rendezvous/a.ts   import "../keys/end-key-files.ts";                    must not reach keys/end-key-files.ts
directory/a.ts    import "../keys/end-key-files.ts";                    must not reach keys/end-key-files.ts
sshnp/a.ts        import "../keys/service-key-files.ts";                must not reach keys/service-key-files.ts
sshnpd/a.ts       await import("../keys/service-key-files.ts");         must not reach keys/service-key-files.ts
keys/a.ts         export const a = ".owner.npkeys";                     names .npkeys files
protocol/a.ts     import "node:fs";                                     must not reach node:fs
protocol/a.ts     import type {} from "node:net";                       must not reach node:net
protocol/a.ts     import "../keys/end-key-files.ts";                    must not reach node:fs
protocol/a.ts     import "ws";                                          must not reach ws
protocol/suite/native.ts            import "node:net";                  must not reach node:net
protocol/channel/stream-adapter.ts  import "node:crypto";               must not reach node:crypto
protocol/suite/native.ts            process.env;                        line 1: process
protocol/a.ts     export const a = process.env;                         line 1: process
protocol/a.ts     export type A = Buffer;                               line 1: Buffer
protocol/a.ts     (setTimeout)(() => 1);                                line 1: setTimeout
protocol/a.ts     const { setInterval: every } = globalThis;            line 1: globalThis
protocol/a.ts     const a = [setImmediate];                             line 1: setImmediate
protocol/a.ts     export const a = Date.now();                          line 1: Date
protocol/a.ts     export const a = new Date();                          line 1: Date
protocol/a.ts     export const a = Date();                              line 1: Date
protocol/a.ts     const { now } = Date;                                 line 1: Date
protocol/a.ts     Date["now"]();                                        line 1: Date
protocol/a.ts     export const a = Math.random();                       line 1: Math
protocol/a.ts     Math["random"]();                                     line 1: Math
protocol/a.ts     export const a = () => ({ crypto });                  line 1: crypto
protocol/a.ts     if (1) console.log();                                 line 1: console
protocol/a.ts     void fetch;                                           line 1: fetch
protocol/a.ts     performance.now();                                    line 1: performance
keys/names.ts     console;                                              line 1: console
`;

test.each(
  BREACHES.trim()
    .split("\n")
    .map((line) => line.split(/ {2,}/)),
)("%s with `%s` %s", async (file = "", text = "", report = "") => {
  const found = await violationsWith({ [file]: text });
  expect(found.filter((line) => line.startsWith(`${file} `) && line.includes(report))).toHaveLength(1);
});

test("a reach is reported with the chain of imports", async () => {
  const found = await violationsWith({ "rendezvous/lobby.ts": 'import "./client.ts";' });
  expect(found).toContain(
    "rendezvous/main.ts must not reach protocol/channel/stream-adapter.ts: rendezvous/main.ts -> " +
      "rendezvous/lobby.ts -> rendezvous/client.ts -> protocol/channel/stream-adapter.ts",
  );
});

/** Every breach of a rule above, one line each: the file, then what is wrong. */
function violations(graph: ImportGraph): string[] {
  const files = [...graph.values()];
  const below = (...rooms: string[]): string[] => [...graph.keys()].filter((path) => rooms.includes(roomOf(path)));
  const servers = below("directory", "rendezvous").filter((path) => !path.endsWith("/client.ts"));
  const found = [
    ...files.flatMap((file) => unreadable(file)),
    ...files.flatMap((file) => importsAgainstTheTable(file, graph)),
    ...findCycles(graph).map((cycle) => `${cycle[0]} imports itself: ${cycle.slice(1).join(" -> ")}`),
    ...forbiddenReaches(graph, ["rendezvous/main.ts"], (path) =>
      RENDEZVOUS_NEVER_REACHES.some((part) => path.startsWith(part)),
    ),
    ...forbiddenReaches(graph, servers, (path) => path === END_KEY_FILES),
    ...forbiddenReaches(graph, below("sshnpd", "sshnp"), (path) => path === SERVICE_KEY_FILES),
    ...impureReaches(graph, below("protocol")),
    ...files
      .filter(({ path, strings }) => path !== END_KEY_FILES && strings.some((text) => text.includes(".npkeys")))
      .map(({ path }) => `${path} names .npkeys files`),
  ];
  return [...new Set(found)];
}

function unreadable({ path, problems }: SourceFile): string[] {
  if (!path.endsWith(".ts")) return [`${path} is no .ts file`];
  return problems.map((problem) => `${path} cannot be read: ${problem}`);
}

function importsAgainstTheTable({ path, imports }: SourceFile, graph: ImportGraph): string[] {
  return imports.flatMap(({ kind, specifier, target }) => {
    switch (kind) {
      case "builtin":
        if (!specifier.startsWith("node:")) return [`${path} imports ${target} without node:`];
        return target === "node:module" ? [`${path} imports node:module, a way around imports`] : [];
      case "package":
        return isDependency(target, path) ? [] : [`${path} imports ${target}, which is no dependency`];
      case "file":
        if (!mayImport(path, target)) return [`${path} must not import ${target}`];
        return graph.has(target) ? [] : [`${path} imports ${target}, which does not exist`];
    }
  });
}

function isDependency(name: string, importer: string): boolean {
  const { dependencies, optionalDependencies } = packageJson();
  if (name in dependencies || name in optionalDependencies) return true;
  return (BUNDLED[name] ?? []).some((folder) => importer.startsWith(folder));
}

function mayImport(from: string, to: string): boolean {
  const room = roomOf(from);
  if (isShell(to)) return isShell(from) && to.startsWith(`${room}/cli/`);
  if (roomOf(to) === room) return true;
  const allowed = [...(TABLE[room] ?? []), ...(isShell(from) ? SHELLS_MAY_IMPORT : [])];
  return allowed.includes(to) || allowed.includes(roomOf(to));
}

function isShell(path: string): boolean {
  return /^[^/]+\/(?:main\.ts$|cli\/)/.test(path);
}

function roomOf(path: string): string {
  return path.slice(0, Math.max(0, path.indexOf("/")));
}

function forbiddenReaches(graph: ImportGraph, start: string[], isForbidden: (target: string) => boolean): string[] {
  return start.flatMap((path) =>
    [...reachableFrom(graph, [path])]
      .filter(([target]) => isForbidden(target))
      .map(([target, chain]) => `${path} must not reach ${target}: ${chain.join(" -> ")}`),
  );
}

function impureReaches(graph: ImportGraph, start: string[]): string[] {
  return [...reachableFrom(graph, start)].flatMap(([path, chain]) => {
    const file = graph.get(path);
    if (file === undefined) return []; // a built-in or a package: judged where it is imported
    const builtin = PROTOCOL_BUILTINS.get(path);
    return [
      ...file.imports
        .filter(({ kind, target }) => kind !== "file" && target !== builtin && !PROTOCOL_PACKAGES.includes(target))
        .map(({ target }) => `${chain[0]} must not reach ${target}: ${[...chain, target].join(" -> ")}`),
      ...file.globals
        .filter((use) => isImpure(use) && !(use.name === "Buffer" && builtin !== undefined))
        .map(({ name, line }) => `${path} is not pure, line ${line}: ${name}`),
    ];
  });
}

function isImpure({ name, form }: GlobalUse): boolean {
  if (name === "Date") return !PURE_USES_OF_DATE.includes(form);
  if (name === "Math") return form === ".random" || !form.startsWith(".");
  return IMPURE_GLOBALS.has(name);
}

/** The breaches of the harmless sources with these files added or replaced. */
async function violationsWith(changes: Readonly<Record<string, string>>): Promise<string[]> {
  await using folder = await temporaryFolder();
  for (const [path, text] of Object.entries({ ...HARMLESS, ...changes })) {
    await mkdir(dirname(join(folder.path, path)), { recursive: true });
    await writeFile(join(folder.path, path), text);
  }
  return violations(readImportGraph(folder.path, ROOMS));
}

function repositoryFiles(): string[] {
  const made = new Set([".git", "node_modules", "dist"]);
  return readdirSync(ROOT)
    .filter((name) => !made.has(name) && !name.endsWith(".tgz"))
    .flatMap((name) => (statSync(join(ROOT, name)).isDirectory() ? filesBelow(ROOT, name) : [name]));
}

interface PackageJson {
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

function packageJson(): PackageJson {
  return JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
}
