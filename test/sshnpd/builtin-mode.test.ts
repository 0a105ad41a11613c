import { join } from "node:path";
import { expect, test } from "vitest";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { BuiltinServer } from "../../sshnpd/builtin/server.ts";
import { BuiltinMode } from "../../sshnpd/builtin-mode.ts";
import { createLog } from "../../sshnpd/log.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

test("run by an ordinary user, it says ahead of the session that nobody else can log in", async () => {
  await using here = await temporaryFolder();
  const folder = await PrivateFolder.openOrCreate(join(here.path, "keys"));
  const open = () => BuiltinServer.open({ folder, log: createLog(false), mayForward: () => true, mayListen: true });
  const ofPi = new BuiltinMode(open, "pi");
  await expect(ofPi.hostKeys("root")).rejects.toMatchObject({
    name: "DeniedError",
    code: "E_NO_SSHD",
    message: expect.stringMatching(/so only pi can log in, not root$/),
  });
  const hostKeys = await ofPi.hostKeys("pi");
  expect([hostKeys.length, await ofPi.hostKeys("")]).toEqual([1, hostKeys]);
  await ofPi.close();
});
