import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { EXIT_STATUS } from "../../keys/errors.ts";

test("docs/operating.md lists every code under its exit status, and no other", () => {
  const text = readFileSync(join(import.meta.dirname, "../../docs/operating.md"), "utf8");
  const listed = [...text.matchAll(/^\| (\d+) \| (`E_.+`) \|$/gm)].flatMap(([, status, codes = ""]) =>
    [...codes.matchAll(/`(E_[A-Z_]+)`/g)].map(([, code]) => [code, Number(status)]),
  );
  expect(Object.fromEntries(listed)).toEqual(EXIT_STATUS);
});
