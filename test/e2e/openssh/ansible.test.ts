/** What docs/ansible.md shows, by the real Ansible; the login and its home folder are put in, and nothing else. */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CAN_MAKE_USERS } from "../../support/ordinary-user.ts";
import { type Exit, runCommand, runProcess } from "../../support/processes.ts";
import type { Stack } from "../../support/stack.ts";
import { HOST, Person, startDevice } from "./person.ts";

const DOCUMENT = readFileSync(join(import.meta.dirname, "../../../docs/ansible.md"), "utf8");
const [HOSTS = "", CONFIGURATION = "", PLAYBOOK = "", COMMAND = ""] = [
  ...DOCUMENT.matchAll(/^```\w*\n(.*?)^```$/gms),
].map(([, block]) => block);
const TIMEOUT_MS = 120_000;

let stack: Stack;
let person: Person;
beforeAll(async () => {
  stack = await startDevice("tcp");
  person = CAN_MAKE_USERS ? await Person.ordinary(stack) : await Person.withFile(stack);
});
afterAll(async () => {
  await person[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

test("a playbook does its work, and the second time, without pipelining, nothing", {
  timeout: TIMEOUT_MS,
}, async () => {
  const play = prepare("one");
  expect(await play.run()).toEqual({ code: 0, stderr: "", recap: "ok=5 changed=3 unreachable=0 failed=0" });
  play.expectDone();
  play.withoutPipelining();
  expect(await play.run()).toEqual({ code: 0, stderr: "", recap: "ok=5 changed=0 unreachable=0 failed=0" });
});

test("a device that is offline is unreachable, and the reason is told", { timeout: TIMEOUT_MS }, async () => {
  await stack.daemon.stop();
  const play = prepare("offline");
  play.withoutPipelining(); // with it Ansible may tell of its own broken pipe instead
  const { code, stdout } = await play.start();
  expect({ code, recap: recap(stdout) }).toEqual({ code: 4, recap: "ok=0 changed=0 unreachable=1 failed=0" });
  expect(stdout).toMatch(/UNREACHABLE! => \{[^}]*mygateway of @device is offline: [^}]*\[E_OFFLINE\]/);
});

test.runIf(CAN_MAKE_USERS)("a device without an SSH server does as well", { timeout: TIMEOUT_MS }, async () => {
  await stack.startDaemon("--ssh-mode", "builtin");
  await runCommand("sshnp", ["trust", "forget", HOST], person.options); // this server has a host key of its own
  const play = prepare("builtin");
  play.withoutPipelining();
  expect(await play.run()).toEqual({ code: 0, stderr: "", recap: "ok=5 changed=3 unreachable=0 failed=0" });
  play.expectDone();
});

/** A folder with the files of the document, and a firmware of its own. */
function prepare(name: string) {
  const content = `${name} ${Math.random()}\n`;
  const folder = person.folder(name, (path) => {
    const write = (file: string, text: string): void => writeFileSync(join(path, file), text);
    write("hosts", HOSTS.replace("=pi\n", `=${person.user?.name ?? stack.login}\n`));
    write("ansible.cfg", CONFIGURATION);
    write("site.yml", PLAYBOOK.replaceAll("/home/pi", person.home));
    write("firmware.bin", content);
    write("firmware.j2", "{{ inventory_hostname }} has {{ hash.stdout.split() | first }}\n");
  });
  const start = async (): Promise<Exit> => {
    const [program, ...words] = person.words("ansible-playbook", ...COMMAND.trim().split(" ").slice(1));
    const env = { ...person.options.env, ANSIBLE_REMOTE_TMP: person.path("remote") };
    return await runProcess(program, words, { ...person.options, env, cwd: folder, timeoutMs: TIMEOUT_MS });
  };
  return {
    start,
    run: async () => {
      const { code, stdout, stderr } = await start();
      return { code, stderr, recap: recap(stdout) };
    },
    withoutPipelining: () =>
      writeFileSync(join(folder, "ansible.cfg"), CONFIGURATION.replace("pipelining = true", "pipelining = false")),
    expectDone: () => {
      expect(readFileSync(person.path("firmware.bin"), "utf8")).toBe(content);
      const hash = createHash("sha256").update(content).digest("hex");
      const fetched = join(folder, "fetched", HOST, person.path("firmware.txt"));
      expect(readFileSync(fetched, "utf8")).toBe(`${HOST} has ${hash}\n`);
    },
  };
}

/** Of the one host; all that was printed when there is none. */
function recap(stdout: string): string {
  const [, counts] = /^mygateway\.device\.np +: (ok=.*?) +skipped=0 /m.exec(stdout) ?? [];
  return counts?.trim().replace(/ +/g, " ") ?? stdout;
}
