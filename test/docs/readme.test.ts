import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { README_BLOCKS, README_INLINE_CODE, README_LINKS } from "../support/readme.ts";

const ROOT = join(import.meta.dirname, "../..");
const COMMAND = /^(?:sshnp|sshnpd|sshnp-\w+|npm) \S/;

/** Which file runs a command of the README, and the words in it that do. Those behind a prompt are typed by transcript.test.ts. */
const RUN_BY: Record<string, readonly [file: string, words: string]> = {
  "npm run demo": ["test/e2e/demo.test.ts", 'start("npm", "run", "demo")'],
  "npm test": [".ci/run", "stage test npm test"],
  "npm pack": [".ci/run", "npm pack --pack-destination"],
  "npm install -g sshnp-0.1.0.tgz": [".ci/run", 'npm install --global --prefix "$work/prefix" "$work"/sshnp-*.tgz'],
  "sshnp @client @device mygateway": ["test/support/stack.ts", '["@client", "@device", `${this.login}@mygateway`'],
  "sshnp @device=SHA256:... mygateway": ["test/e2e/wrong-state.test.ts", "`@device=${OTHER_FINGERPRINT}`"],
  "sshnpd -m @client=SHA256:...": ["scripts/demo/cast.mjs", '"-m", `@client=${'],
  "sshnpd check": ["test/e2e/ssh-modes.test.ts", 'runCommand("sshnpd", ["check"'],
  "sshnp-keys delegate": ["test/e2e/enrolment.test.ts", '"delegate"'],
  "sshnp-keys revoke @device othergateway": [
    "test/e2e/revocation.test.ts",
    '"sshnp-keys", "revoke", "@device", "mygateway"',
  ],
  "sshnp-keys activate ... --owner-key agent:SHA256:...": [
    "test/keys/activate-agent.test.ts",
    'words: ["--owner-key", `agent:${',
  ],
  "sshnp proxy": ["test/e2e/transcript.test.ts", "writeSshConfig(laptop)"],
  "sshnp trust accept mygateway.device.np SHA256:...": [
    "test/e2e/wrong-state.test.ts",
    '"trust", "accept", "mygateway.device.np"',
  ],
  "sshnp-keys show @device": ["test/e2e/first-contact.test.ts", '"sshnp-keys", "show", "@device"'],
  "sshnp trust show @device": ["test/e2e/first-contact.test.ts", '"sshnp", "trust", "show", "@device"'],
  "sshnp trust ls": ["test/e2e/wrong-state.test.ts", '"trust", "ls"'],
  "sshnp trust forget mygateway.device.np": [
    "test/e2e/wrong-state.test.ts",
    '"trust", "forget", "mygateway.device.np"',
  ],
};

test("every command in the README is run by something", () => {
  const inBlocks = README_BLOCKS.flatMap((block) => block.split("\n").map((line) => line.replace(/ {2,}.*/, "")));
  const shown = [...inBlocks, ...README_INLINE_CODE].filter((text) => COMMAND.test(text));
  expect([...new Set(shown)].sort()).toEqual(Object.keys(RUN_BY).sort());
});

test.each(Object.entries(RUN_BY))("%s is run where it is said to be", (_, [file, words]) => {
  expect(readFileSync(join(ROOT, file), "utf8")).toContain(words);
});

test("what the README links to is there", () => {
  expect(README_LINKS.length).toBeGreaterThan(3);
  for (const link of README_LINKS) expect(existsSync(join(ROOT, link)), link).toBe(true);
});

test("the block for ssh_config is the one that sshnp --help shows", () => {
  const block = README_BLOCKS.find((text) => text.startsWith("Host ")) ?? "";
  const usage = readFileSync(join(ROOT, "sshnp/usage.ts"), "utf8");
  expect(usage).toContain(block.replace(/^/gm, "  ").trimEnd());
});
