import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { appendFileSync, chmodSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentServer } from "../../support/agent-server.ts";
import { Authenticator } from "../../support/authenticator.ts";
import { CAN_MAKE_USERS } from "../../support/ordinary-user.ts";
import { commandFile, type Exit, runProcess } from "../../support/processes.ts";
import type { Stack } from "../../support/stack.ts";
import { DEVICE_MODES, HOST, Person, startDevice } from "./person.ts";

/* Keys that ssh has from an agent are ssh's own affair: nothing of ours sees them, by either way in. */
describe.each(DEVICE_MODES)("user keys in an agent, a device in mode %s", { timeout: 60_000 }, (mode) => {
  let stack: Stack;
  let person: Person;
  beforeAll(async () => {
    stack = await startDevice(mode);
    const options = ["--control-master", "no"];
    person = CAN_MAKE_USERS ? await Person.ordinary(stack, ...options) : await Person.withFile(stack, ...options);
    // The key that their configuration names would let them in.
    rmSync(CAN_MAKE_USERS ? person.path(".ssh/id_ed25519") : stack.sshd.identityFile);
  });
  afterAll(async () => {
    await person[Symbol.asyncDispose]();
    await stack[Symbol.asyncDispose]();
  });

  const WAYS: readonly [string, (options: readonly string[]) => string[]][] = [
    ["plain ssh", (options) => person.words("ssh", ...options, HOST, "echo in")],
    [
      "sshnp",
      (options) => {
        const sshnp = commandFile("sshnp", person.user?.installation);
        return [process.execPath, sshnp, "@client", "@device", "mygateway", ...options, "echo in"];
      },
    ],
  ];
  const refused = { code: 255, stdout: "" };
  const admitted = { code: 0, stdout: "in\n" };

  test.each(WAYS)("the real ssh-agent lets %s log in", async (_way, words) => {
    const folder = person.folder(`agent-${randomBytes(4).toString("hex")}`, (path) => {
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(path, "id")]);
    });
    const script = 'ssh-add -q "$0" && exec "$@"';
    const run = (): Promise<Exit> =>
      runProcess("ssh-agent", ["sh", "-c", script, join(folder, "id"), ...words(by("SSH_AUTH_SOCK"))], person.options);
    expect(await run()).toMatchObject(refused);
    admit(readFileSync(join(folder, "id.pub"), "utf8").trim());
    expect(await run()).toMatchObject(admitted);
  });

  test.each(WAYS)("a FIDO2 token lets %s log in, by a touch for each login", async (_way, words) => {
    const token = new Authenticator(randomBytes(32));
    await using agent = await AgentServer.serve(person.folder(`token-${randomBytes(4).toString("hex")}`), token.answer);
    chmodSync(agent.socket, 0o666); // whoever runs the tests listens there, and the person comes
    const run = (): Promise<Exit> => {
      const [file = "", ...rest] = words(by(agent.socket));
      return runProcess(file, rest, person.options);
    };
    expect(await run()).toMatchObject(refused);
    expect(token.signatures).toBe(0);
    admit(token.line);
    expect(await run()).toMatchObject(admitted);
    expect(token.signatures).toBe(1);
    token.onTouch = () => false;
    expect(await run()).toMatchObject(refused);
  });

  const by = (agent: string): string[] =>
    ["IdentitiesOnly=no", `IdentityAgent=${agent}`, "BatchMode=yes"].flatMap((value) => ["-o", value]);

  function admit(line: string): void {
    const ofServer = join(dirname(stack.sshd.identityFile), "authorized_keys");
    appendFileSync(mode === "tcp" ? ofServer : person.path(".ssh/authorized_keys"), `${line}\n`);
  }
});
