import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DirectoryClient } from "../../directory/client.ts";
import { activationKey } from "../../keys/activation-key.ts";
import { parseCramSecret } from "../../keys/secret.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { ELSEWHERE_MS } from "../../protocol/limits.ts";
import { RENDEZVOUS_ACTIVATION } from "../../protocol/messages/activation.ts";
import { activateRendezvous, newRendezvous, random, report, suite } from "../directory/world.ts";
import { measuredByClient, sessionsOf, startFarRendezvous } from "../support/more-rendezvous.ts";
import { addRendezvous } from "../support/one-time-secrets.ts";
import { Stack } from "../support/stack.ts";

test("a rendezvous that says whatever gets it named first, and never answers, costs one session a moment; what is agreed needs no directory; where none is left that is said", {
  timeout: 120_000,
}, async () => {
  await using stack = await Stack.start({ withoutTap: true, rendezvous: ["--region", "eu"] });
  await using far = await startFarRendezvous(stack, "far", 120, "--region", "us");
  const measuring = stack.startSsh("cat");
  await expect.poll(() => measuredByClient(stack), { timeout: 20_000 }).toHaveLength(2);
  measuring.stdin.end();
  expect(await measuring.exit()).toMatchObject({ code: 0 });
  const held = stack.startSsh("cat"); // so that the near one is there, but drains
  await expect.poll(() => stack.daemon.stderr.split('"session confirmed"').length - 1).toBe(2);
  process.kill(stack.rendezvous.pid, "SIGTERM");
  const listed = async (): Promise<string> =>
    await stack.server.must("sshnp-directory", "rendezvous", "ls", "--data", join(stack.server.home, "directory"));
  await expect.poll(listed, { timeout: 20_000 }).toMatch(/rz1 +draining/);

  // It has no load, room for everybody, and stands where the nearest stands.
  await using liar = await startLiar(stack);
  const before = far.sessions;
  const first = await stack.client.run("sshnp", "-v", ...stack.words("true"));
  expect(first).toMatchObject({ code: 0 });
  expect(first.stderr).toContain(`to meet at tcp://127.0.0.1:${liar.port}, else tcp://127.0.0.1:${far.port}`);
  expect(first.stderr).toContain(`the rendezvous at tcp://127.0.0.1:${far.port} has joined the two legs`);
  await expect.poll(() => far.sessions).toBe(before + 1);
  expect(liar.hellos).toBe(2);
  expect(ELSEWHERE_MS).toBeLessThan(3000 / 2);

  const second = await stack.client.run("sshnp", "-v", ...stack.words("true"));
  expect(second).toMatchObject({ code: 0 });
  expect(second.stderr).toContain(`to meet at tcp://127.0.0.1:${far.port}, else tcp://127.0.0.1:${liar.port}`);

  process.kill(far.process.pid, "SIGSTOP");
  const agreed = stack.client.start("sshnp", "-v", ...stack.words("echo", "met"));
  await agreed.errorLine(/the device answered/);
  await stack.directory.kill("SIGKILL");
  expect(agreed.stderr).not.toContain("has joined the two legs");
  process.kill(far.process.pid, "SIGCONT");
  expect(await agreed.exit()).toMatchObject({ code: 0, stdout: "met\n" });
  held.stdin.end();
  expect(await held.exit()).toMatchObject({ code: 0 });
  expect(await stack.rendezvous.exit()).toMatchObject({ code: 0 });
  expect(sessionsOf(stack.rendezvous)).toBeGreaterThanOrEqual(1);

  await stack.startDirectory();
  await liar.report();
  await liar[Symbol.asyncDispose]();
  await far.process.kill("SIGKILL");
  const nowhere = await stack.client.run("sshnp", "--wait", ...stack.words("true"));
  expect(nowhere).toMatchObject({ code: 255, stdout: "" });
  expect(nowhere.stderr).toContain(`tcp://127.0.0.1:${liar.port}`);
  expect(nowhere.stderr).toContain("[E_RENDEZVOUS]");
});

interface Liar extends AsyncDisposable {
  readonly port: number;
  /** Those that came whole; who measures says three bytes. */
  readonly hellos: number;
  report(): Promise<void>;
}

/** Registers as any rendezvous does, takes every connection, and is silent. */
async function startLiar(stack: Stack): Promise<Liar> {
  const sockets = new Set<Socket>();
  let hellos = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    socket.once("data", (data: Uint8Array) => (hellos += data.length > 3 ? 1 : 0));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const client = new DirectoryClient({ address: parseDirectoryAddress(stack.address), suite, random });
  const secret = parseCramSecret(await addRendezvous(join(stack.server.home, "directory"), "liar"));
  const rendezvous = newRendezvous([`tcp://127.0.0.1:${port}`]);
  await activateRendezvous(client, rendezvous, activationKey(suite, secret, RENDEZVOUS_ACTIVATION));
  const lie = async (): Promise<void> =>
    void (await report(client, rendezvous, 0, { most: 4_000_000_000, region: "eu" }));
  await lie();
  return {
    port,
    get hellos() {
      return hellos;
    },
    report: lie,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
