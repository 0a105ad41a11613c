import { join } from "node:path";
import { pino } from "pino";
import { expect, test } from "vitest";
import { writeKeyListFile } from "../../keys/key-list-files.ts";
import { parseName } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
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
