import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sshConfigBlock } from "../../sshnp/ssh-config-block.ts";
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
  "sshnpd ... --session-keys pi": ["test/e2e/session-key.test.ts", '"--session-keys", stack.login'],
  "sshnp --session-key @client @device pi@mygateway": [
    "test/e2e/session-key.test.ts",
    '"--session-key", "@client", "@device", `${stack.login}@mygateway`',
  ],
  "sshnp ssh-config --install --session-key": [
    "test/e2e/openssh/session-key.test.ts",
    'Person.ordinary(stack, "--session-key")',
  ],
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
  "sshnp cp @device firmware.bin pi@mygateway:": [
    "test/e2e/openssh/transfers.test.ts",
    'sshnp("cp", "@device", ...ssh(), "-r", join(path, "tree"), `${at()}:',
  ],
  "sshnp rsync": ["test/e2e/openssh/transfers.test.ts", '["rsync", "--keys", keys, "@device"'],
  "sshnp sftp": ["test/e2e/openssh/transfers.test.ts", 'sshnp("sftp", "@device", ...ssh(), "-b"'],
  "sshnp ssh-config": ["test/sshnp/ssh-config.test.ts", '[MAIN, "ssh-config", ...words]'],
  "sshnp completion bash": ["test/sshnp/completion.test.ts", "source <(sshnp completion bash)"],
  "sshnp ls @device": ["test/e2e/ls.test.ts", 'ls("@device", "-o", "table")'],
  "sshnp ping @device mygateway": ["test/e2e/ping.test.ts", 'ping("-c", "1", "@device", "mygateway")'],
  "sshnp status": ["test/e2e/doctor.test.ts", '"sshnp", "status")'],
  "sshnp doctor @device mygateway": ["test/e2e/doctor.test.ts", 'doctor("@device", "mygateway")'],
  "sshnp forward @device mygateway 8080:localhost:80": [
    "test/e2e/forwarding.ts",
    '["forward", "--print-port", "@client", "@device", "mygateway", ...words]',
  ],
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

test("the block for ssh_config is the one that sshnp ssh-config writes, and --help says how to have it", () => {
  const keys = "/home/you/.local/share/sshnp/keys";
  const written = sshConfigBlock({
    hostPattern: "*.np",
    proxy: ["/usr/bin/node", "/usr/lib/node_modules/sshnp/dist/sshnp/main.js", "proxy", "--keys", keys],
    keys,
    controlPath: "/home/you/.ssh/sshnp-%C",
    waits: false,
    knowsKnownHostsCommand: true,
  });
  const block = README_BLOCKS.find((text) => text.startsWith("Host ")) ?? "none";
  expect(written).toContain(`\n${block}# End sshnp\n`);
  const { bin }: { bin: Record<string, string> } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  expect(block).toContain(`/node_modules/sshnp/${bin["sshnp"]} `);
  expect(readFileSync(join(ROOT, "sshnp/usage.ts"), "utf8")).toContain("\n  sshnp ssh-config --install\n");
});
