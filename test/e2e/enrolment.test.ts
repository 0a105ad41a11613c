import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Machine, Stack } from "../support/stack.ts";

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({ withoutDaemon: true });
});
afterAll(() => stack[Symbol.asyncDispose]());

test("gateways that a fleet token and an owner's approval have let in take sessions, and lose them when they are revoked", async () => {
  const owner = stack.device; // where @device was activated
  const token = await owner.must("sshnp-keys", "delegate", "@device", "--role", "device", "--pattern", "gw-*");
  const byToken = newMachine("by-token");
  writeFileSync(join(byToken.home, "token"), token);
  const where = ["--directory", stack.address];
  await byToken.must("sshnp-keys", "enroll", "@device", "gw-1", "-d", "--token", join(byToken.home, "token"), ...where);

  const password = await owner.must("sshnp-keys", "otp", "@device", "--role", "device", "--member", "porch");
  const approved = newMachine("approved");
  const asking = approved.start(
    "sshnp-keys",
    "enroll",
    "@device",
    "porch",
    "-d",
    "--otp",
    password,
    "--wait",
    ...where,
  );
  const [, code = ""] = await asking.errorLine(/Code to compare: (\S+)$/);
  await owner.must("sshnp-keys", "approve", "@device", "porch", "--code", code);
  expect((await asking.exit()).code).toBe(0);

  for (const [machine, member] of [
    [byToken, "gw-1"],
    [approved, "porch"],
  ] as const) {
    const daemon = await startDaemon(machine, member);
    expect(await ssh(member)).toMatchObject({ code: 0, stdout: `${member}\n` });
    await daemon.kill("SIGKILL");
    await startDaemon(machine, member);
    expect(await ssh(member)).toMatchObject({ code: 0, stdout: `${member}\n` });
  }

  // The token goes, what it has made stays, unless its owner wants it otherwise.
  const { delegations } = JSON.parse(await owner.must("sshnp-keys", "list", "@device", "--json")) as {
    delegations: { id: string }[];
  };
  await owner.must("sshnp-keys", "revoke", "@device", "--delegation", delegations[0]?.id ?? "", "--yes");
  expect(await ssh("gw-1")).toMatchObject({ code: 0, stdout: "gw-1\n" });
  await owner.must("sshnp-keys", "revoke", "@device", "porch");
  expect(await ssh("porch")).toMatchObject({ code: 255, stderr: expect.stringContaining("[E_REVOKED]") });
});

test("a gateway whose token is revoked with all that it has made takes no session more", async () => {
  const owner = stack.device;
  const token = await owner.must("sshnp-keys", "delegate", "@device", "--role", "device", "--pattern", "leaked-*");
  const machine = newMachine("leaked");
  writeFileSync(join(machine.home, "token"), token);
  const words = ["-d", "--token", join(machine.home, "token"), "--directory", stack.address];
  await machine.must("sshnp-keys", "enroll", "@device", "leaked-1", ...words);
  await startDaemon(machine, "leaked-1");
  expect(await ssh("leaked-1")).toMatchObject({ code: 0 });
  const { delegations } = JSON.parse(await owner.must("sshnp-keys", "list", "@device", "--json")) as {
    delegations: { id: string; pattern: string }[];
  };
  const id = delegations.find(({ pattern }) => pattern === "leaked-*")?.id ?? "";
  await owner.must("sshnp-keys", "revoke", "@device", "--delegation", id, "--cascade");
  const exit = await ssh("leaked-1");
  expect(exit.code).toBe(255);
  expect(exit.stderr).toMatch(/\[E_[A-Z_]+\]/);
});

function newMachine(name: string): Machine {
  const home = join(stack.server.home, "..", name);
  mkdirSync(home, { mode: 0o700 });
  return new Machine(home);
}

async function startDaemon(machine: Machine, member: string) {
  const words = ["-a", "@device", "-m", "@client", "-d", member, "--ssh-port", String(stack.sshd.port)];
  const daemon = machine.start("sshnpd", ...words);
  await daemon.line(new RegExp(`^online: ${member}\\.device\\.np$`));
  return daemon;
}

function ssh(member: string) {
  return stack.client.run(
    "sshnp",
    "@client",
    "@device",
    `${stack.login}@${member}`,
    ...stack.sshOptions,
    `echo ${member}`,
  );
}
