import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startBuilt } from "../support/built-module.ts";
import { CAN_MAKE_USERS } from "../support/ordinary-user.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

/** Holds all the files that a process may have open. */
const EXHAUST = `
  import { execFileSync } from "node:child_process";
  import { closeSync, openSync } from "node:fs";
  import { PassThrough } from "node:stream";
  execFileSync("prlimit", ["--pid", String(process.pid), "--nofile=120:120"]);
  const exhaust = () => {
    const held = [];
    try {
      for (;;) held.push(openSync("/dev/null"));
    } catch (error) {
      console.log(error.code);
    }
    return () => held.forEach((descriptor) => closeSync(descriptor));
  };`;

// dropbear: sshd run by root wants /run/sshd, which is the system's
test("where no more files can be open, streams to a server that is to be started are refused, and later ones are not", async () => {
  await using folder = await temporaryFolder();
  const script = `${EXHAUST}
    const { PrivateFolder } = await load("keys/private-folder.js");
    const { createLog } = await load("sshnpd/log.js");
    const { InetdServer } = await load("sshnpd/inetd-server.js");
    const state = await PrivateFolder.openOrCreate(argument);
    const signal = new AbortController().signal;
    const server = new InetdServer({ name: "dropbear" }, { state, ownKey: "@a.b", signal });
    await server.hostKeys("");
    const serve = async () => {
      const accept = () => console.log("accepted");
      const refuse = (reason) => { console.log("refused", reason); stream.destroy(); };
      const stream = Object.assign(new PassThrough(), { accept, refuse });
      stream.once("data", () => stream.destroy());
      const login = process.geteuid() === 0 ? "root" : (await import("node:os")).userInfo().username;
      await server.serve(stream, { client: "@client", member: "laptop", login }, createLog(false)).closed;
    };
    const release = exhaust();
    await serve();
    await serve();
    release();
    await serve();
    await server.close();
    console.log("alive");`;
  const { code, stdout, stderr } = await startBuilt(folder, script, join(folder.path, "state")).exit();
  expect([stdout, code]).toEqual(["EMFILE\nrefused failed\nrefused failed\naccepted\nalive\n", 0]);
  expect(stderr).toMatch(/"reason":"spawn \/bin\/sh EMFILE","msg":"SSH server process not started"/);
});

test.skipIf(!CAN_MAKE_USERS)("and a key that is pushed for another user is not written, with that reason", async () => {
  await using folder = await temporaryFolder();
  await chmod(folder.path, 0o755);
  const script = `${EXHAUST}
    const { acceptPushedKey } = await load("sshnpd/pushed-keys.js");
    const account = { login: "nobody", uid: 65534, gid: 65534, home: argument };
    const release = exhaust();
    await acceptPushedKey(account, { line: "ssh-ed25519 AAAA" }, "x").catch(({ code }) => console.log(code));
    release();
    await new Promise((resolve) => setImmediate(resolve));
    console.log("alive");
    process.exit(); // a time limit for the child is still running`;
  const { code, stdout } = await startBuilt(folder, script, folder.path).exit();
  expect([stdout, code]).toEqual(["EMFILE\nE_STORAGE\nalive\n", 0]);
});
