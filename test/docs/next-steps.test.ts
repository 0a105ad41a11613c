import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { Help } from "./help.ts";
import {
  filesEndingIn,
  type Mention,
  mentionsIn,
  mentionsInDocument,
  mentionsInSource,
  mistakeIn,
  readText,
} from "./mentions.ts";

const ROOT = join(import.meta.dirname, "../..");
const ROOMS = ["keys", "protocol", "directory", "rendezvous", "sshnpd", "sshnp", "scripts"];

let home: TemporaryFolder;
let help: Help;
beforeAll(async () => {
  home = await temporaryFolder();
  help = new Help(home.path);
});
afterAll(() => home.remove());

test("every command and flag that a message of the programs names is there", async () => {
  const files = filesEndingIn([".ts", ".mjs"], ROOT, ROOMS);
  const mentions = files.flatMap((file) => mentionsInSource(file, readText(ROOT, file)));
  expect(mentions.length).toBeGreaterThan(80);
  expect(await mistakesIn(mentions)).toEqual([]);
});

test("every command and flag that a document shows is there", async () => {
  const files = [...filesEndingIn([".md"], ROOT, ["docs"]), "README.md", "CONTRIBUTING.md"];
  const mentions = files.flatMap((file) => mentionsInDocument(file, readText(ROOT, file)));
  expect(mentions.length).toBeGreaterThan(30);
  expect(await mistakesIn(mentions)).toEqual([]);
});

test.each([
  ["Next: sshnp surgery", "there is no surgery"],
  ["New machine: sshnp-keys adopt @alice", "there is no adopt"],
  ["sshnp-directory name remove @acme --data np", "there is no remove"],
  ["Give it: sshnp-keys activate -a @acme --secret SECRET", "there is no --secret"],
  ["Try sshnp --natively @device mygateway.", "there is no --natively"],
  ["Stop it, then (sshnpd --quiet).", "there is no --quiet"],
  ["`sshnp-rendezvous run --name rz1`", "there is no --name"],
  ["sshnp-keys activate -a @a -z", "there is no -z"],
  ["On the device: sshnpd jumps", "there is no jumps"],
])("%j is found to name what is not there", async (text, mistake) => {
  const mistakes = await mistakesIn(mentionsIn("here", text));
  expect(mistakes).toEqual([expect.stringContaining(mistake)]);
});

test.each([
  ["sshnpd admits them, and sshnp opens nothing", 2],
  ["Check whether sshnp-directory runs, and bring sshnp to the same version.", 2],
  ["sshnp @device pi@mygateway -L 8080:localhost:80 --no-flag-of-ours", 1],
  ["sshnp --wait=2h -s @client @device=SHA256:abc mygateway; or sshnpd -d NAME", 2],
  ["sshnp-keys activate -a -c -d --keys DIR", 1],
  ["/opt/sshnp/keys, sshnp-binding@v1, sshnp/0, sshnp.json, @sshnp and my-sshnp", 0],
  ["server$ sshnp-directory run --data np --listen 0.0.0.0:7800 > log # sshnpd --nothing", 2],
])("%j names nothing that is not there", async (text, count) => {
  const mentions = mentionsIn("here", text);
  expect(mentions).toHaveLength(count);
  expect(await mistakesIn(mentions.slice(0, 1))).toEqual([]);
});

test("literals are read with what is filled in, comments are not", () => {
  const source = 'const a = `Run: sshnpd -d ${b ? "sshnp-keys" : c}`; // sshnp doctor\n';
  expect(mentionsInSource("a.ts", source)).toEqual([
    { place: "a.ts", command: "sshnpd", words: ["-d", "X"], isTyped: true },
    { place: "a.ts", command: "sshnp-keys", words: [], isTyped: false },
  ]);
});

async function mistakesIn(mentions: readonly Mention[]): Promise<string[]> {
  const found = await Promise.all(mentions.map((mention) => mistakeIn(mention, help)));
  return found.filter((mistake) => mistake !== undefined);
}
