import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CVES } from "./cves.ts";
import { ELSEWHERE } from "./elsewhere.ts";
import { TABLE } from "./table.ts";

const HERE = import.meta.dirname;

test("each row of the table is run by the file that it names, and no file here runs another", () => {
  const runners = readdirSync(HERE).filter((file) =>
    /\brunRows\(import\.meta\.filename, \{/.test(read(join(HERE, file))),
  );
  expect(runners.toSorted()).toEqual([...new Set(TABLE.map(({ file }) => file))].toSorted());
  for (const file of runners) expect(file).toMatch(/\.test\.ts$/);
});

test("no claim stands in the table twice, and each has a code or comes to nothing", () => {
  const claims = [...TABLE, ...ELSEWHERE].map(({ adversary, claim }) => `${adversary}: ${claim}`);
  expect(claims.length).toBeGreaterThan(60);
  expect(new Set(claims).size).toBe(claims.length);
});

test("every code in the table is one that this program has", () => {
  const codes = read(join(HERE, "../../keys/errors.ts")) + read(join(HERE, "../../protocol/refusal-codes.ts"));
  const named = [...TABLE, ...ELSEWHERE].flatMap(({ code }) => (code?.startsWith("E_") === true ? [code] : []));
  expect(named.filter((code) => !codes.includes(`"${code}"`) && !codes.includes(`${code}:`))).toEqual([]);
});

test("evidence is kept where two trees of one size were signed", () => {
  const convicted = [...TABLE, ...ELSEWHERE].filter(({ evidence }) => evidence);
  expect(convicted.length).toBeGreaterThan(3);
  for (const { code } of convicted) expect(code).toBe("E_LOG");
});

test("every test that is pointed to is there, by that name, and is not skipped", () => {
  const pointers = [...ELSEWHERE, ...CVES.flatMap(({ id, where }) => where.map((one) => ({ ...one, claim: id })))];
  for (const { claim, file, test: name } of pointers) {
    const path = join(HERE, "..", file);
    expect(existsSync(path), `${claim}: ${file}`).toBe(true);
    const isRow = TABLE.some((row) => `adversaries/${row.file}` === file && row.claim === name);
    expect(isRow || declares(read(path), name), `${claim}: ${file} has no test "${name}"`).toBe(true);
  }
});

/** Whether a file has a test or describe with that name, or is an attack of that name. */
function declares(source: string, name: string): boolean {
  const quoted = name.replace(/[$()*+.?[\\\]^{|}]/g, "\\$&");
  const declared = new RegExp(
    String.raw`\b(?:test|describe)(?:\.(?:each|runIf)(?:<[^>]+>)?\((?:[^()]|\([^()]*\))*\))?\(\s*["\`]${quoted}["\`]|name: "${quoted}",\n\s+from: `,
  );
  return declared.test(source);
}

function read(path: string): string {
  return readFileSync(path, "utf8");
}
