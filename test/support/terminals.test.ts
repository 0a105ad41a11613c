import { expect, test } from "vitest";
import { temporaryFolder } from "./temp-folder.ts";
import { Terminals } from "./terminals.ts";

test("a window runs what is typed, and tells what came of it", async () => {
  await using folder = await temporaryFolder();
  await using terminals = await Terminals.start();
  const window = await terminals.open("here", { env: { HOME: folder.path } });
  expect(await window.run("tty -s && pwd")).toBe(folder.path);
  expect(await window.run("echo $((6 * 7)); false")).toBe("42");
  expect(await window.run("echo $?")).toBe("1");

  await window.type("cat");
  await window.type("text");
  await window.shows(/^text\ntext$/m);
  await window.press("C-c");
  await window.prompt();
  expect(await window.run("echo $?")).toBe("130");
});

test("lines that are longer than the window come back whole", async () => {
  await using folder = await temporaryFolder();
  await using terminals = await Terminals.start();
  const window = await terminals.open("here", { env: { HOME: folder.path } });
  const long = "0123456789".repeat(40);
  expect(await window.run(`echo ${long}`)).toBe(long);
});
