import { spawnSync } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseMember, parseName } from "../../keys/names.ts";
import { parseCramSecret } from "../../keys/secret.ts";
import { DirectoryClient } from "../../directory/client.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { runCommand, startProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import {
  activate,
  newPerson,
  openDeviceLink,
  patience,
  type Person,
  random,
  sessionMessage,
  suite,
  putMessage,
} from "./world.ts";

const DIRECTORY = join(import.meta.dirname, "../../dist/directory/main.js");

/** A container's root may often not. */
const CAN_MOUNT = spawnSync("unshare", ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;

test.runIf(CAN_MOUNT)(
  "on a full disk nothing more is stored, what is there goes on, and all is well once there is room",
  async () => {
    await using home = await temporaryFolder();
    const disk = join(home.path, "disk");
    await mkdir(disk);
    const options = { env: { HOME: home.path } };
    // A disk of 64 MiB that no other process sees.
    const script =
      'mount -t tmpfs -o size=64m,mode=700 none "$1" && exec "$2" "$3" run --data "$1/np" --listen 127.0.0.1:0';
    const words = ["--mount", "sh", "-c", script, "sh", disk, process.execPath, DIRECTORY];
    await using directory = startProcess("unshare", words, options);
    const [address = ""] = await directory.line(/^http:.*$/);
    const inside = join(`/proc/${directory.pid}/root`, disk);
    const secretOf = async (name: string) => {
      const added = await runCommand("sshnp-directory", ["name", "add", name, "--data", join(inside, "np")], options);
      return parseCramSecret(added.stdout);
    };
    const client = () => new DirectoryClient({ address: parseDirectoryAddress(address), suite, random });
    const person = newPerson(parseName("@client"), parseMember("laptop"), "client");
    const device = newPerson(parseName("@device"), parseMember("mygateway"), "device");
    await activate(client(), person, await secretOf("@client"));
    await activate(client(), device, await secretOf("@device"));
    const newMember = () => {
      count += 1;
      return newPerson(device.name, parseMember(`m${count}`), "device", { owner: device.owner });
    };
    const put = ({ x25519, binding }: Person) => {
      return client().request(x25519, putMessage(binding), { signal: patience() });
    };
    let count = 0;

    const filler = join(inside, "filler");
    await expect(writeFile(filler, Buffer.alloc(64 * 1024 * 1024))).rejects.toMatchObject({ code: "ENOSPC" });
    // The last page of the store's log still has room for some.
    await expect.poll(() => put(newMember()).catch((error: unknown) => error)).toMatchObject({ code: "E_STORAGE" });
    const second = newMember();
    await expect(put(second)).rejects.toMatchObject({ code: "E_STORAGE" });
    const readyz = async () => (await fetch(new URL("/readyz", address))).status;
    await expect.poll(readyz, { timeout: 10_000 }).toBe(503);
    await openDeviceLink(client(), device);
    const request = sessionMessage(person, device);
    await expect(client().request(person.x25519, request, { signal: patience() })).rejects.toMatchObject({
      code: "E_NO_RENDEZVOUS",
    });

    await rm(filler);
    await expect.poll(() => put(second).catch((error: unknown) => error)).toMatchObject({ type: "logged" });
    await expect.poll(readyz, { timeout: 10_000 }).toBe(200);
    const lookUp = sessionMessage(person, second, { message1: new Uint8Array(0) });
    expect(await client().request(person.x25519, lookUp, { signal: patience() })).toMatchObject({ type: "binding" });
    expect((await directory.kill("SIGTERM")).code).toBe(0);
  },
);
