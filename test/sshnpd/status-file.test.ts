import { linkSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { StatusFile } from "../../sshnpd/status-file.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

test("it has the newest line and nothing else, in a file with the mode of any other, and goes", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "status");
  const status = new StatusFile(path, "offline: gw");
  expect(readFileSync(path, "utf8")).toBe("offline: gw\n");
  status.write("online: gw");
  expect(readFileSync(path, "utf8")).toBe("online: gw\n");
  expect(readdirSync(folder.path)).toEqual(["status"]);
  writeFileSync(join(folder.path, "other"), "");
  expect(statSync(path).mode).toBe(statSync(join(folder.path, "other")).mode);
  status.remove();
  expect(readdirSync(folder.path)).toEqual(["other"]);
});

test("links that somebody has put there lead it nowhere", async () => {
  await using folder = await temporaryFolder();
  const [path, precious] = [join(folder.path, "status"), join(folder.path, "precious")];
  writeFileSync(precious, "mine");
  symlinkSync(precious, path);
  symlinkSync(precious, `${path}.new`);
  const status = new StatusFile(path, "offline: gw");
  expect(readFileSync(path, "utf8")).toBe("offline: gw\n");
  symlinkSync("missing", `${path}.new`);
  status.write("online: gw");
  linkSync(precious, `${path}.new`);
  status.write("offline: gw");
  expect(readFileSync(path, "utf8")).toBe("offline: gw\n");
  expect(readFileSync(precious, "utf8")).toBe("mine");
  expect(readdirSync(folder.path).toSorted()).toEqual(["precious", "status"]);
});

test("what cannot be removed keeps it from starting, with the next step", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "status");
  mkdirSync(`${path}.new`);
  expect(() => new StatusFile(path, "offline: gw")).toThrow(expect.objectContaining({ code: "E_STORAGE" }));
  expect(() => new StatusFile(join(path, "deeper"), "offline: gw")).toThrow(/status-file|Cannot write/);
});
