// The demo itself, from the first process to the measured times. Whatever it shows it has checked.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { remark, say, title, typed } from "./stage.mjs";

const US = "sshnp @client @device mygateway";
const FILE_BYTES = 8 * 1024 * 1024;
const TIMES = 5;

/** @param {import("./cast.mjs").Cast} cast @throws {Error} when something is not as it should be */
export async function perform(cast) {
  title("1. A directory and a rendezvous");
  say(`directory    ${await cast.startDirectory()}`);
  say(`rendezvous   ${await cast.startRendezvous()}`);
  remark("The directory's address carries the fingerprint of its key: that is all anybody has to believe of it.");

  title("2. Two names, each with an owner key of its own");
  say(`@device      ${await cast.activate("@device", ["-d", "mygateway"])}`);
  say(`@client      ${await cast.activate("@client", [])}`);
  remark("Activated by challenge and response; the one-time secrets were not sent.");

  title("3. A device with an SSH server on its loopback, and a daemon beside it");
  await cast.startSshServer();
  say(await cast.startDaemon());
  await showListeners(cast);

  title("4. Commands through sshnp");
  remark("Nobody is asked about a host key: the keys came end to end. Shown without the options that keep");
  remark("this account's own SSH keys and configuration out of it.");
  const marker = `not for the rendezvous: ${randomBytes(8).toString("hex")}`;
  await showCommands(cast, marker);

  title("5. A file through scp");
  await showCopy(cast);

  title("6. What the rendezvous saw of these four sessions");
  await showLog(cast, marker);

  title("7. How long it takes");
  await showTimes(cast);
}

async function showListeners(cast) {
  const { stdout } = await cast.run("ss", ["-Htulnp"]);
  const portsOf = ({ pid }) =>
    stdout
      .split("\n")
      .filter((line) => line.includes(`,pid=${pid},`))
      .map((line) => line.split(/\s+/)[4]);
  const [directory, rendezvous, daemon] = [cast.directory, cast.rendezvous, cast.daemon].map(portsOf);
  if (directory.length !== 1 || rendezvous.length !== 1) throw new Error(`ss shows something else:\n${stdout}`);
  if (daemon.length > 0) throw new Error(`the daemon listens on ${daemon.join(", ")}`);
  const table = [
    `sshnp-directory    listens on ${directory}`,
    `sshnp-rendezvous   listens on ${rendezvous}`,
    "sshnpd             listens on nothing",
  ];
  typed("ss -tulnp", table.join("\n"));
}

async function showCommands(cast, marker) {
  const { stdout: system } = await cast.sshnp(["uname", "-sr"]);
  typed(`${US} uname -sr`, system);

  const { stdout: echoed } = await cast.sshnp(["cat"], { input: `${marker}\n` });
  if (echoed !== `${marker}\n`) throw new Error(`cat gave ${JSON.stringify(echoed)}`);
  typed(`echo '${marker}' | ${US} cat`, echoed);

  const { status } = await cast.sshnp(["exit 42"]);
  if (status !== 42) throw new Error(`the exit status became ${status}`);
  typed(`${US} 'exit 42'; echo $?`, `${status}`);
}

async function showCopy(cast) {
  const [file, copy] = [cast.path("firmware.bin"), cast.path("copy.bin")];
  writeFileSync(file, randomBytes(FILE_BYTES));
  const start = performance.now();
  await cast.scp(file, copy);
  const seconds = (performance.now() - start) / 1000;
  const [sent, arrived] = [file, copy].map((path) => createHash("sha256").update(readFileSync(path)).digest("hex"));
  if (sent !== arrived) throw new Error(`the copy differs: ${sent} was sent, ${arrived} arrived`);
  typed("scp firmware.bin mygateway.device.np:copy.bin; sha256sum ...", `${sent}  firmware.bin\n${arrived}  copy.bin`);
  remark(`${FILE_BYTES / 1024 / 1024} MiB in ${seconds.toFixed(1)} s, with all it takes to connect.`);
}

async function showLog(cast, marker) {
  for (const { sid, clientBytes, deviceBytes, clientExcerpt, deviceExcerpt } of await cast.rendezvousLog(4)) {
    say(`session ${sid}`);
    say(`  from the client ${bytes(clientBytes)}   ${spaced(clientExcerpt)} ...`);
    say(`  from the device ${bytes(deviceBytes)}   ${spaced(deviceExcerpt)} ...`);
  }
  const log = cast.rendezvous.stderr;
  const secrets = ["SSH-2.0", marker, "mygateway", "@client", "@device"];
  for (const secret of secrets) {
    if ([secret, Buffer.from(secret).toString("hex")].some((text) => log.includes(text))) {
      throw new Error(`the rendezvous saw ${secret}`);
    }
  }
  remark(
    'That is its whole view: a random id, sizes, times, ciphertext. No name, no "SSH-2.0", not the text sent to cat.',
  );
}

async function showTimes(cast) {
  const node = await measure(() => cast.run(process.execPath, ["-e", "0"]));
  const plain = await measure(() => cast.plainSsh(["true"]));
  const ours = await measure(() => cast.sshnp(["true"]));
  say(`node -e 0                              ${node.text}`);
  say(`ssh -p PORT 127.0.0.1 true             ${plain.text}`);
  say(`${US} true   ${ours.text}`);
  const added = Math.round(ours.median - plain.median);
  remark(`Whole commands, ${TIMES} of each, on this machine as it is now. The way through directory and rendezvous`);
  remark(`and the start of Node cost ${added} ms of them.`);
}

async function measure(action) {
  const times = [];
  for (let i = 0; i < TIMES; i++) {
    const start = performance.now();
    await action();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const median = times[TIMES >> 1];
  const ms = (time) => `${time.toFixed(0).padStart(4)} ms`;
  return { median, text: `fastest ${ms(times[0])}   median ${ms(median)}` };
}

function bytes(count) {
  return `${count.toLocaleString("en")} bytes`.padStart(15);
}

function spaced(hex) {
  return hex.replace(/..(?=.)/g, "$& ");
}
