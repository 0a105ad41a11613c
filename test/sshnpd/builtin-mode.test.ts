import { chmod, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { expect, test } from "vitest";
import { parseMember, parseName } from "../../keys/names.ts";
import { parsePublicKeyLine } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { AutoServer } from "../../sshnpd/auto-server.ts";
import { BuiltinServer } from "../../sshnpd/builtin/server.ts";
import type { SshServer } from "../../sshnpd/ssh-server.ts";
import { BuiltinMode } from "../../sshnpd/builtin-mode.ts";
import { CAN_MAKE_USERS, ordinaryUser } from "../support/ordinary-user.ts";
import { runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { authorize, makeKey } from "./builtin/harness.ts";
import { serveStreams } from "./served-streams.ts";

const log = pino({ level: "silent" });

test.skipIf(!CAN_MAKE_USERS)("a session key is admitted until its certificate ends, and not from then on", async () => {
  await using user = await ordinaryUser();
  await using folder = await temporaryFolder();
  await authorize(user, "# nobody");
  const identity = join(folder.path, "id");
  await makeKey(identity);
  const { stdout } = await runProcess("cat", [`${identity}.pub`], { env: { HOME: "/" } });
  const { blob: key } = parsePublicKeyLine(stdout.trim());
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  const server = () => new BuiltinMode(() => BuiltinServer.open({ folder: keys, log }));
  const login = async (until: number, { mode = server(), member = "laptop", certified: own = key } = {}) => {
    const certified = { key: own, certificate: new Uint8Array(0), authorityPath: "", until };
    // One server for all of them: its streams end, it does not.
    const lasting = (): SshServer => ({
      mode: mode.mode,
      hostKeys: (name) => mode.hostKeys(name),
      serve: (...words) => mode.serve(...words),
      close: async () => {},
    });
    await using streams = await serveStreams(lasting, {
      visitor: { client: parseName("@client"), member: parseMember(member), login: user.name, certified },
    });
    const options = ["BatchMode yes", "StrictHostKeyChecking no", "UserKnownHostsFile /dev/null", "IdentitiesOnly yes"];
    const words = [...options, `ProxyCommand socat - TCP:127.0.0.1:${streams.port}`].flatMap((word) => ["-o", word]);
    const ssh = await runProcess("ssh", ["-F", "none", ...words, "-i", identity, `${user.name}@device`, "echo in"], {
      env: { HOME: folder.path },
    });
    return ssh.stdout;
  };
  expect(await login(Date.now() + 60_000)).toBe("in\n");
  expect(await login(Date.now() - 1)).toBe("");

  // Two ssh of one person share an agent, so that the one may show the key of the other's session.
  const [mode, later] = [server(), Date.now() + 60_000];
  const other = new Uint8Array(51);
  expect(await login(later, { mode, certified: other })).toBe("");
  expect(await login(later, { mode })).toBe("in\n");
  expect(await login(later, { mode, certified: other })).toBe("in\n");
  expect(await login(later, { mode, certified: other, member: "another" })).toBe("");
  await mode.close();
});

test("a start that failed is tried again when what was in its way is gone", async () => {
  await using folder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  const state = await PrivateFolder.openOrCreate(join(keys.path, "state"));
  const hostKey = join(keys.path, "state", "builtin-host-key.json");
  const told = join(state.path, "told-host-keys.@device.gw1.json");
  await writeFile(hostKey, "garbage", { mode: 0o600 });
  await writeFile(told, "{}");
  await chmod(told, 0o666);
  const server = new BuiltinMode(() => BuiltinServer.open({ folder: keys, log }));
  const auto = new AutoServer({
    ...{ candidates: [{ word: "builtin", server }], state, member: "@device.gw1", mayChangeKeys: false, log },
  });
  await expect(auto.hostKeys("")).rejects.toThrow(/told-host-keys/);
  await rm(told);
  await expect(auto.hostKeys("")).rejects.toThrow(/builtin-host-key/);
  await rm(hostKey);
  expect(await auto.hostKeys("")).toHaveLength(1);
  await auto.close();
});

test("run by an ordinary user, it says ahead of the session that nobody else can log in", async () => {
  await using here = await temporaryFolder();
  const folder = await PrivateFolder.openOrCreate(join(here.path, "keys"));
  const open = () => BuiltinServer.open({ folder, log });
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
