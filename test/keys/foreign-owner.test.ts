import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { startBuilt } from "../support/built-module.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../support/ordinary-user.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

test("of a folder that is everybody's it is not said to close it", async () => {
  await using folder = await temporaryFolder();
  const shared = join(folder.path, "tmp");
  await mkdir(shared);
  await chmod(shared, 0o1777);
  const opening = PrivateFolder.open(shared);
  await expect(opening).rejects.toMatchObject({ next: "Name a folder of your own: --keys DIR" });
});

describe.skipIf(!CAN_MAKE_USERS)("what belongs to another user", () => {
  let user: OrdinaryUser;
  beforeAll(async () => void (user = await ordinaryUser()));
  afterAll(() => user.remove());

  test("is not root's to take, who is told whose it is by name", async () => {
    const keys = join(user.home, ".local/share/sshnp/keys");
    await mkdir(keys, { recursive: true, mode: 0o700 });
    for (const each of [".local", ".local/share", ".local/share/sshnp", ".local/share/sshnp/keys"]) {
      await chown(join(user.home, each), user.uid, user.gid);
    }
    await expect(PrivateFolder.open(keys)).rejects.toMatchObject({
      message: `${keys} belongs to ${user.name}, not to root, who runs this.`,
      next: `Run it as ${user.name}, or name your own: --keys DIR (of a directory or rendezvous: --data DIR)`,
    });
    await chown(keys, 0, 0);
    expect(await toldTo(user, keys)).toBe(`If it is yours: sudo chown -R ${user.name} ${keys}`); // sudo has made it
  });

  test("and no user is told to take a folder that may be anything", async () => {
    const next = "Run it as root, or name your own: --keys DIR (of a directory or rendezvous: --data DIR)";
    expect(await toldTo(user, "/tmp")).toBe(next);
    expect(await toldTo(user, "/etc")).toBe(next);
    const keys = join(user.home, "other");
    await mkdir(join(keys, "state"), { recursive: true, mode: 0o700 });
    expect(await toldTo(user, keys)).toBe(next);
    await chown(keys, user.uid, user.gid);
    expect(await toldTo(user, join(keys, "state"))).toBe(
      `If it is yours: sudo chown -R ${user.name} ${join(keys, "state")}`,
    );
  });

  test("one file can be given to its user, and a user without a name is told by number", async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "x.npkeys"), "{}", { mode: 0o600 });
    await chown(join(folder.path, "x.npkeys"), 54_321, 54_321);
    const opened = await PrivateFolder.open(folder.path);
    const path = join(folder.path, "x.npkeys");
    await expect(opened?.read("x.npkeys", 100)).rejects.toMatchObject({
      message: `${path} belongs to user 54321, not to root, who runs this.`,
      next: `If it is yours: chown root ${path}`,
    });
  });
});

async function toldTo(user: OrdinaryUser, path: string): Promise<string> {
  const script = `const { PrivateFolder } = await load("keys/private-folder.js");
    await PrivateFolder.open(argument).catch(({ next }) => console.log(next));`;
  const { stdout } = await startBuilt({ path: user.home }, script, path, user).exit();
  return stdout.trimEnd();
}
