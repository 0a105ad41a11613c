import { join } from "node:path";
import { expect, test } from "vitest";
import { parseName } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { OwnDirectory } from "../../sshnpd/own-directory.ts";
import { patience, random, suite, World } from "../directory/world.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { SILENT } from "./stage.ts";

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

async function openAt(directory: DirectoryAddress): Promise<OwnDirectory> {
  await using place = await temporaryFolder();
  const folder = await PrivateFolder.openOrCreate(join(place.path, "keys"));
  const surroundings = { suite, random, folder, log: SILENT, signal: patience() };
  return await OwnDirectory.open(surroundings, { directory, keys: { name: parseName("@device") } });
}
