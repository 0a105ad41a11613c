import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

/* What is loaded when: a person waits for all that comes before ssh and before the first packet. */
const DIST = join(import.meta.dirname, "../../dist/sshnp");
const CHUNKS = new Map(
  readdirSync(DIST)
    .filter((file) => file.endsWith(".js"))
    .map((file) => [file, readFileSync(join(DIST, file), "utf8")]),
);

test("nothing that a session loads as it starts has the words or the QR codes in it", () => {
  const seldom = [...CHUNKS].filter(
    ([, text]) => text.includes("abandon\nability") || text.includes("function encodeQR"),
  );
  expect(seldom.map(([file]) => file)).toEqual([expect.stringMatching(/^english-/), expect.stringMatching(/^qr-/)]);
  for (const file of CHUNKS.keys()) {
    expect([file, required(file).filter((other) => seldom.some(([each]) => each === other))]).toEqual([file, []]);
  }
});

test("what starts ssh, and what joins its proxy to us, takes nothing of what connects", () => {
  for (const name of ["main", "front", "ssh-process", "relay"]) {
    const loaded = closure(chunk(name));
    expect(loaded).not.toContain(chunk("connect"));
    expect(loaded).not.toContain(chunk("negotiate"));
  }
  // Else this would be true of anything.
  expect(closure("main.js")).toContain(chunk("front"));
  expect(closure(chunk("proxy"))).toContain(chunk("connect"));
});

test("what the first packet takes has nothing of what comes after it", () => {
  for (const name of ["proxy", "connect"]) expect(closure(chunk(name))).not.toContain(chunk("negotiate"));
  const withKyber = [...CHUNKS].filter(([, text]) => text.includes("function createKyber")).map(([file]) => file);
  expect(withKyber).toContain(chunk("negotiate"));
  expect(withKyber).not.toContain(chunk("connect"));
});

test("what is outside can be required by every Node: no package of modules", () => {
  const packages = [...CHUNKS.values()].flatMap((text) =>
    [...text.matchAll(/\brequire\("([a-z@][^":]*)"\)/g)].map(([, name = ""]) => name),
  );
  const root = join(import.meta.dirname, "../../node_modules");
  const foreign = [...new Set(packages)].filter((name) => readdirSync(root).includes(name));
  expect(foreign).toEqual(expect.arrayContaining(["commander", "ws"]));
  for (const name of foreign) {
    const { type, exports: given } = JSON.parse(readFileSync(join(root, name, "package.json"), "utf8")) as {
      type?: string;
      exports?: unknown;
    };
    expect([name, type === "module" && !JSON.stringify(given).includes("require")]).toEqual([name, false]);
  }
});

/** The file of the chunk of that name. */
function chunk(name: string): string {
  const [file, ...others] = [...CHUNKS.keys()].filter((each) => each.replace(/-[\w-]{8}\.js$|\.js$/, "") === name);
  if (file === undefined || others.length > 0) throw new Error(`${name} is not one chunk`);
  return file;
}

/** All that is loaded with a file, at once. */
function closure(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const other of required(file)) closure(other, seen);
  return seen;
}

function required(file: string): string[] {
  const text = CHUNKS.get(file) ?? "";
  return [...text.matchAll(/^(?:const \w+ = )?require\("\.\/(.*?)"\);$/gm)].map(([, other = ""]) => other);
}
