/** `node scripts/run-typescript.mjs test/bench/fleet-rows.ts idle|herd|daemon [DEVICES]`: these rows alone. */
import { herd } from "./herd.ts";
import { idleDaemon } from "./idle-daemon.ts";
import { idleDevices } from "./idle-devices.ts";

const [what, devices = "5000"] = process.argv.slice(2);
const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
const options = {
  signal: stop.signal,
  devices: Number(devices),
  log: (line: string) => process.stderr.write(`${line}\n`),
};
const measure = { idle: idleDevices, herd, daemon: idleDaemon }[what ?? ""];
if (measure === undefined) throw new Error(`not idle, herd or daemon: ${what}`);
try {
  for (const { name, ours, unit, peer, note } of await measure(options)) {
    const beside = peer === undefined ? "no peer" : `peer ${peer.toFixed(1)} ${unit}`;
    process.stdout.write(`${name}: ${ours.toFixed(2)} ${unit} (${beside})  ${note}\n`);
  }
} catch (error) {
  if (!stop.signal.aborted) throw error;
  process.exitCode = 130;
}
