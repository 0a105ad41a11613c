import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AgentServer } from "../support/agent-server.ts";
import { Authenticator } from "../support/authenticator.ts";
import { type Exit, type RunningProcess, runCommand } from "../support/processes.ts";
import { Machine, Stack } from "../support/stack.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

const device = new Authenticator(randomBytes(32), { application: "ssh:device" });
const client = new Authenticator(randomBytes(32), { application: "ssh:client" });

let stack: Stack;
let folder: TemporaryFolder;
let daemon: RunningProcess;
let laptop: Machine;
beforeAll(async () => {
  stack = await Stack.start({ withoutDaemon: true });
  folder = await temporaryFolder();
  const gateway = await machine("gateway");
  laptop = await machine("laptop");
  await activate(gateway, device, "@tokendevice", "-d", "gw");
  await activate(laptop, client, "@tokenclient");
  const own = ["-a", "@tokendevice", "-d", "gw", "--ssh-port", String(stack.sshd.port)];
  daemon = gateway.start("sshnpd", ...own, "-m", `@tokenclient=${client.fingerprint}`);
  await daemon.line(/^online: gw\.tokendevice\.np$/);
});
afterAll(async () => {
  await daemon.stop();
  await stack[Symbol.asyncDispose]();
  await folder.remove();
});

test("two names whose owner keys are on tokens connect, each compared with the other's fingerprint", async () => {
  const exit = await connect(`@tokendevice=${device.fingerprint}`);
  expect(exit).toMatchObject({ code: 0, stdout: "through\n" });
  expect([device.signatures, client.signatures]).toEqual([3, 3]); // those of the activations: no connect wants a touch
});

test("another token's fingerprint for the device stops the connect", async () => {
  const exit = await connect(`@tokendevice=${client.fingerprint}`);
  expect(exit).toMatchObject({ code: 255, stdout: "", stderr: expect.stringContaining("[E_OWNER_KEY]") });
});

async function machine(name: string): Promise<Machine> {
  const home = join(folder.path, name);
  await mkdir(home, { mode: 0o700 });
  return new Machine(home);
}

/** With the token at hand for that long alone. */
async function activate(where: Machine, token: Authenticator, name: string, ...words: string[]): Promise<void> {
  await using agent = await AgentServer.serve(where.home, token.answer);
  const what = ["-a", name, "-c", await stack.addName(name), "--directory", stack.address, ...words];
  const exit = await runCommand("sshnp-keys", ["activate", ...what, "--owner-key", `agent:${token.fingerprint}`], {
    env: { HOME: where.home, SSH_AUTH_SOCK: agent.socket },
  });
  expect(exit).toMatchObject({ code: 0, stderr: expect.stringContaining(`${name} is activated.`) });
}

function connect(to: string): Promise<Exit> {
  return laptop.run("sshnp", "@tokenclient", to, `${stack.login}@gw`, ...stack.sshOptions, "echo through");
}
