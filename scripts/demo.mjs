// npm run demo: a whole sshnp system on this machine, with throw-away data, that shows what it does and what it does not
// see. With a terminal it ends in a shell on the "device"; without one it exits 0. Everything is gone afterwards.
import "./node-version.mjs";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cast } from "./demo/cast.mjs";
import { fail, say, title } from "./demo/stage.mjs";
import { root, SetUpError, setUp } from "./set-up.mjs";

const interrupted = new AbortController();
const cast = new Cast(root);
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(name, () => {
    if (cast.shellIsOpen) return; // there Ctrl-C belongs to the shell
    interrupted.abort();
    cast.stop();
    process.exit(130);
  });
}

try {
  await main(interrupted.signal);
} catch (error) {
  process.exitCode = 1;
  if (error instanceof SetUpError) process.stderr.write(`${error.message}\n`);
  else fail(error, cast.logs());
} finally {
  cast.stop();
}

async function main(signal) {
  await setUp({ commands: ["ss", "ssh", "sshd"], signal });
  execFileSync(process.execPath, [join(root, "scripts/build.mjs")], { stdio: ["ignore", 2, 2] });

  title("A directory and a rendezvous");
  const address = await cast.startDirectory();
  say(`directory    ${address}`);
  say(`rendezvous   ${await cast.startRendezvous(address)}`);

  title("Two names, each with its own owner key; the secrets are used once and never sent");
  const device = cast.activate("@device", ["-d", "mygateway"]);
  const client = cast.activate("@client", []);
  say(`@device      ${device}\n@client      ${client}`);

  title("A device, with an SSH server on its loopback and no open port");
  await cast.startSshServer();
  say(await cast.startDaemon(device, client));
  say(`\n$ ss -tlnp    what the daemon (process ${cast.daemon.pid}) listens on:`);
  const listening = execFileSync("ss", ["-Htulnp"], { encoding: "utf8" }).split("\n");
  const open = listening.filter((line) => line.includes(`pid=${cast.daemon.pid},`));
  if (open.length > 0) throw new Error(`the daemon listens:\n${open.join("\n")}`);
  say("nothing");

  title("Commands through sshnp; nobody is asked about a host key, because they came end to end");
  const marker = `the rendezvous must never see this: ${randomBytes(8).toString("hex")}`;
  say(`$ sshnp @client @device mygateway uname -sr\n${cast.sshnp(["uname", "-sr"])}`);
  const echoed = cast.sshnp(["cat"], { input: marker });
  if (echoed !== marker) throw new Error(`cat gave ${JSON.stringify(echoed)}`);
  say(`$ echo ... | sshnp @client @device mygateway cat\n${echoed}`);
  const status = cast.sshnpStatus(["exit 42"]);
  say(`$ sshnp @client @device mygateway 'exit 42'; echo $?\n${status}`);
  if (status !== 42) throw new Error("the exit status got lost");

  title("A file through scp");
  const file = join(cast.folder, "firmware.bin");
  const copy = join(cast.folder, "firmware.copy");
  writeFileSync(file, randomBytes(8 * 1024 * 1024));
  cast.scp(file, copy);
  const [sent, received] = [file, copy].map((path) => createHash("sha256").update(readFileSync(path)).digest("hex"));
  say(`8 MiB sent      ${sent}\n8 MiB arrived   ${received}`);
  if (sent !== received) throw new Error("the copy differs");

  title("What the rendezvous saw of all this");
  const log = await cast.rendezvousLog(4);
  for (const entry of log) say(entry.text);
  const seen = cast.rendezvous.stderr;
  for (const secret of ["SSH-2.0", "53 53 48 2d", "5353482d", "mygateway", "@client", "@device", marker]) {
    if (seen.includes(secret)) throw new Error(`the rendezvous saw ${secret}`);
  }
  say(`In all that it logged there is no "SSH-2.0", no name, and not the text that went through cat.`);

  title("How long it takes");
  const times = cast.connectTimes(7);
  say(times);

  if (process.stdin.isTTY && process.stdout.isTTY) {
    title("A shell on the device. Leave it with exit or Ctrl-D; everything here is then removed");
    cast.shell();
  }
  say("\nStopped and removed. Next: README.md, section Use.");
}
