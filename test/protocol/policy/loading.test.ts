import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { reachableFrom, readImportGraph } from "../../support/import-graph.ts";

const ROOT = join(import.meta.dirname, "../../..");
const FOLDER = "protocol/policy";
/** What reads the text of a policy; the rest judges by what came of it. */
const MAY_LOAD_YAML = ["yaml-tree.ts", "parse.ts"];

test("only whoever parses a policy loads the YAML library, and only one file knows it", () => {
  const graph = readImportGraph(ROOT, ["keys", "protocol"]);
  const files = readdirSync(join(ROOT, FOLDER));
  const loading = files.filter((file) =>
    [...reachableFrom(graph, [`${FOLDER}/${file}`]).keys()].some((path) =>
      graph.get(path)?.imports.some(({ target }) => target === "yaml"),
    ),
  );
  const direct = [...graph].filter(([, { imports }]) => imports.some(({ target }) => target === "yaml"));
  expect(direct.map(([path]) => path)).toEqual([`${FOLDER}/yaml-tree.ts`]);
  expect(files.length).toBeGreaterThan(10);
  expect(loading.filter((file) => !MAY_LOAD_YAML.includes(file))).toEqual([]);
});
