import { dirname, join } from "node:path";
import { pino } from "pino";
import { expect, test } from "vitest";
import { parsePublicKeyBlob } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { AutoServer } from "../../sshnpd/auto-server.ts";
import { HostKeys } from "../../sshnpd/host-keys.ts";
import { OffServer } from "../../sshnpd/off-server.ts";
import { listeningSockets } from "../../sshnpd/listening-sockets.ts";
import { TcpServer } from "../../sshnpd/tcp-server.ts";
import { keepsPins, parseToldHostKeys, readToldHostKeys } from "../../sshnpd/told-host-keys.ts";
import { freePort } from "../support/free-port.ts";
import { runProcess } from "../support/processes.ts";
import { type SshServer, startSshServer } from "../support/sshd.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { serveStreams } from "./served-streams.ts";

const ENDLESS = new AbortController().signal;

test("the first server that is there is taken, at each request, as long as nobody has been led to host keys", async () => {
  await using device = await newDevice();
  await using second = await startSshServer({ port: device.second });
  expect(linesOf(await device.auto().hostKeys(""))).toEqual(second.hostKeys.toSorted());
  await using first = await startSshServer({ port: device.first });
  expect(linesOf(await device.auto().hostKeys(""))).toEqual(first.hostKeys.toSorted());
});

test("once a client was led to a server, another one takes over with the same host keys alone", async () => {
  await using device = await newDevice();
  const second = await startSshServer({ port: device.second });
  await logIn(second, device);
  expect(await readToldHostKeys(device.state, "@device.mygateway")).toMatchObject({ server: "second" });

  await using stranger = await startSshServer({ port: device.first });
  expect(stranger.hostKeys).not.toEqual(second.hostKeys);
  expect(linesOf(await device.auto().hostKeys(""))).toEqual(second.hostKeys.toSorted());
  await stranger.stop();

  await using twin = await startSshServer({ port: device.first, configuration: hostKeysOf(second) });
  expect(linesOf(await device.auto().hostKeys(""))).toEqual(second.hostKeys.toSorted());
  await logIn({ ...second, sshOptions: second.sshOptions }, device, twin);
  expect(await readToldHostKeys(device.state, "@device.mygateway")).toMatchObject({ server: "first" });
  await second.stop();
});

test("else there is none until it is back, and the reason and the way out are told; who chooses a mode himself gets it", async () => {
  await using device = await newDevice();
  const first = await startSshServer({ port: device.first });
  await logIn(first, device);
  await first.stop();
  await using second = await startSshServer({ port: device.second });
  await expect(device.auto().hostKeys("")).rejects.toMatchObject({
    code: "E_NO_SSHD",
    message: "No SSH server on this device: the one that clients know (first) is away, and second has other host keys.",
    next: expect.stringContaining("sshnpd --ssh-mode tcp"),
  });
  expect(linesOf(await device.auto({ mayChangeKeys: true }).hostKeys(""))).toEqual(second.hostKeys.toSorted());
});

test("the same server with other host keys is shown as it is: its clients judge", async () => {
  await using device = await newDevice();
  const before = await startSshServer({ port: device.first });
  await logIn(before, device);
  await before.stop();
  await using after = await startSshServer({ port: device.first });
  expect(linesOf(await device.auto().hostKeys(""))).toEqual(after.hostKeys.toSorted());
});

test("with nothing there the reason is one for people", async () => {
  await using device = await newDevice();
  await expect(device.auto().hostKeys("")).rejects.toMatchObject({
    code: "E_NO_SSHD",
    message: "No SSH server on this device: nothing answers on its SSH port, and none is installed.",
  });
});

test("keys keep pins when one is known and none of a known type is another", async () => {
  await using a = await startSshServer();
  await using b = await startSshServer();
  const [a1, a2] = await blobsOf(a);
  const [b1, b2] = await blobsOf(b);
  if (a1 === undefined || a2 === undefined || b1 === undefined || b2 === undefined) throw new Error("two keys each");
  const told = [a1, a2].map((blob) => parsePublicKeyBlob(blob));
  expect([keepsPins(told, [a1]), keepsPins(told, [a1, a2]), keepsPins(told.slice(0, 1), [a1, b2])]).toEqual([
    true,
    true,
    true,
  ]);
  expect([keepsPins(told, [b1, b2]), keepsPins(told, [a1, b2]), keepsPins(told.slice(0, 1), [a2])]).toEqual([
    false,
    false,
    false,
  ]);
  expect(parseToldHostKeys(new TextEncoder().encode("{}"))).toBeUndefined();
});

test("with ssh off the client is told what there is instead", async () => {
  const off = new OffServer(() => Promise.resolve("it grants tcp:127.0.0.1:80"));
  await expect(off.hostKeys()).rejects.toMatchObject({
    code: "E_NO_SSHD",
    message: "it runs with --ssh-mode off, so there is no ssh; it grants tcp:127.0.0.1:80",
  });
});

async function newDevice() {
  const folder = await temporaryFolder();
  const state = await PrivateFolder.openOrCreate(join(folder.path, "state"));
  const [first, second] = [await freePort(), await freePort()];
  const at = (word: string, port: number) => ({
    word,
    server: new TcpServer({ port, hostKeys: new HostKeys(port, () => 0, ENDLESS) }),
    mayBeThere: async () => (await listeningSockets(port)) !== "",
  });
  const auto = ({ mayChangeKeys = false, log = pino({ level: "silent" }) } = {}): AutoServer =>
    new AutoServer({
      ...{ candidates: [at("first", first), at("second", second)], state, member: "@device.mygateway" },
      ...{ mayChangeKeys, log },
    });
  return { auto, state, first, second, [Symbol.asyncDispose]: () => folder.remove() };
}

/** By whatever server the device takes, whose host keys must be those of `known`, and which must admit `admits`' identity. */
async function logIn(
  known: SshServer,
  device: Pick<Awaited<ReturnType<typeof newDevice>>, "auto">,
  admits = known,
): Promise<void> {
  await using streams = await serveStreams((log) => device.auto({ log }));
  const words = ["-o", `ProxyCommand=socat - TCP:127.0.0.1:${streams.port}`, "-i", admits.identityFile];
  const exit = await runProcess("ssh", [...words, ...known.sshOptions, "127.0.0.1", "true"], {
    env: { HOME: "/nonexistent" },
    cwd: "/",
  });
  expect([exit.code, exit.stderr]).toEqual([0, ""]);
}

function hostKeysOf({ identityFile }: SshServer): string[] {
  return ["ed25519", "ecdsa"].map((type) => `HostKey ${join(dirname(identityFile), `host_${type}`)}`);
}

async function blobsOf({ port }: SshServer): Promise<readonly Uint8Array[]> {
  return await new HostKeys(port, () => 0, ENDLESS).current();
}

function linesOf(blobs: readonly Uint8Array[]): string[] {
  return blobs.map((blob) => parsePublicKeyBlob(blob).line).toSorted();
}
