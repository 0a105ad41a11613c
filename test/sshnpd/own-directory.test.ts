import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { pino } from "pino";
import { expect, test } from "vitest";
import { AskAgainError, type Link } from "../../directory/client.ts";
import { UnavailableError } from "../../keys/errors.ts";
import { writeKeyListFile } from "../../keys/key-list-files.ts";
import { parseName } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { keepLinked } from "../../sshnpd/link.ts";
import { OwnDirectory } from "../../sshnpd/own-directory.ts";
import { patience, random, suite, World } from "../directory/world.ts";
import { freePort } from "../support/free-port.ts";
import { MovableAddress } from "../support/movable-address.ts";
import { StatementLog } from "../support/statement-log.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { DIRECTORY } from "./linked-device.ts";
import { deviceKeys, keyList, ORIGIN, people, SILENT } from "./stage.ts";

test("a directory on this machine is at a private address once it is linked, and not before", async () => {
  await using world = await World.start();
  const device = await world.activated("@device", "mygateway", "device");
  const directory = await openAt(world.address);
  expect(directory.isPrivate).toBe(false);
  const link = await world.link(device, { client: directory.client });
  expect(link.remoteAddress).toBe("127.0.0.1");
  directory.noteLink(link);
  expect(directory.isPrivate).toBe(true);
  link.close();
});

test("a directory that was linked to in public stays there, wherever DNS says by then that its name leads", async () => {
  const directory = await openAt(parseDirectoryAddress(`http://localhost:1#SHA256:${"A".repeat(43)}`));
  for (const remoteAddress of ["198.51.100.7", "2001:db8::7", undefined]) {
    directory.noteLink({ remoteAddress });
    expect(directory.isPrivate).toBe(false);
  }
});

test("by a broker it is where its key list comes from, and nowhere if what comes is not its own", async () => {
  await using world = await World.start();
  const byName = new URL(world.address.url);
  byName.hostname = "localhost";
  const addressOf = (fingerprint: string): DirectoryAddress => parseDirectoryAddress(`${byName.origin}#${fingerprint}`);
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line) => void lines.push(line) });
  const directory = await openAt(addressOf(world.address.fingerprint));
  directory.noteLink({ remoteAddress: undefined });
  directory.askWhere(log, patience());
  await expect.poll(() => directory.isPrivate).toBe(true);
  expect(lines).toEqual([]);
  directory.noteLink({ remoteAddress: "198.51.100.7" });
  expect(directory.isPrivate).toBe(false);

  const another = await openAt(addressOf(`SHA256:${"A".repeat(43)}`));
  another.askWhere(log, patience());
  await expect
    .poll(() => lines.join(""))
    .toMatch(/"code":"E_DIRECTORY_KEY".*"msg":"where the directory is, is not known/);
  expect(another.isPrivate).toBe(false);
});

test("by a broker it is asked for again until it is there", async () => {
  await using world = await World.start();
  await using place = await MovableAddress.of(await freePort());
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line) => void lines.push(line) });
  const address = parseDirectoryAddress(`http://localhost:${place.port}#${world.address.fingerprint}`);
  const directory = await openAt(address);
  directory.askWhere(log, patience());
  await expect.poll(() => lines.join("")).toMatch(/"code":"E_DIRECTORY".*"msg":"where the directory is, is not known/);
  place.target = Number(new URL(world.address.url).port);
  await expect.poll(() => directory.isPrivate).toBe(true);
  expect(lines).toHaveLength(1);
});

test("attempts that fail, and links that end, leave no asking behind: one dial at a time, and none while it waits", async () => {
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => {
    sockets.add(
      socket
        .resume()
        .on("error", () => {})
        .once("close", () => sockets.delete(socket)),
    );
  }).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const directory = await openAt(parseDirectoryAddress(`http://127.0.0.1:${port}#SHA256:${"A".repeat(43)}`));
  const stop = new AbortController();
  const open: number[] = [];
  const away = new UnavailableError("E_DIRECTORY", "away");
  async function* noEvents(): AsyncGenerator<never> {}
  const kept = keepLinked({
    signal: stop.signal,
    random: () => 2 ** -30, // no wait is long but the last
    open: async (attempt) => {
      const asked = once(silent, "connection", { signal: patience() });
      directory.askWhere(SILENT, attempt);
      await asked;
      // Whoever was told to go may take a moment.
      await expect.poll(() => sockets.size).toBeLessThanOrEqual(1);
      open.push(sockets.size);
      if (open.length === 6) throw new AskAgainError("E_BUSY", "busy", 60_000);
      if (open.length % 2 === 1) throw away;
      return { events: noEvents(), close: () => {} } as unknown as Link;
    },
    onLinked: () => {},
    onEvent: () => {},
    onLost: () => {},
  });
  await expect.poll(() => open, { timeout: 10_000 }).toEqual([1, 1, 1, 1, 1, 1]);
  await expect.poll(() => sockets.size).toBe(0);
  stop.abort();
  await kept;
  silent.close();
});

test("that a checkpoint of a client is not proved is logged as that, and not as something that is not stored", async () => {
  await using place = await temporaryFolder();
  const folder = await PrivateFolder.openOrCreate(join(place.path, "keys"));
  await writeKeyListFile(folder, deviceKeys.name, keyList.signed);
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line) => void lines.push(line) });
  const address = parseDirectoryAddress(`http://127.0.0.1:1#${DIRECTORY}`);
  const surroundings = { suite, random, folder, log, signal: patience() };
  const directory = await OwnDirectory.open(surroundings, { directory: address, keys: deviceKeys });
  const seen = new StatementLog(suite, people.directory.log, ORIGIN).add(people.device.binding);
  directory.client.acceptProof(seen.prove([]));
  directory.client.compareCheckpoint(seen.add(people.client.binding).checkpoint);
  await expect
    .poll(() => lines.join(""), { timeout: 10_000 })
    .toMatch(/"code":"E_DIRECTORY".*"msg":"a checkpoint that a peer has seen is not proved yet"/);
  expect(lines.join("")).not.toContain("not stored");
});

async function openAt(directory: DirectoryAddress): Promise<OwnDirectory> {
  await using place = await temporaryFolder();
  const folder = await PrivateFolder.openOrCreate(join(place.path, "keys"));
  const surroundings = { suite, random, folder, log: SILENT, signal: patience() };
  return await OwnDirectory.open(surroundings, { directory, keys: { name: parseName("@device") } });
}
