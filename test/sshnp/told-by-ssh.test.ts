import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { SetupError } from "../../keys/errors.ts";
import { disconnectBytes } from "../../sshnp/told-by-ssh.ts";
import { runProcess, startProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const MAIN = join(import.meta.dirname, "../../dist/sshnp/main.js");
/** An ssh that gives its proxy no standard error. */
const PERSISTING = (folder: string): string[] => ["-F", "none", ...options(folder, "auto")];

test("what a proxy without standard error has to say is printed by ssh", async () => {
  await using folder = await temporaryFolder();
  const exit = await runProcess("ssh", [...PERSISTING(folder.path), "gw.device.np", "true"], env(folder.path));
  expect(exit).toMatchObject({ code: 255, stdout: "" });
  expect(exit.stderr).toMatch(
    /^Received disconnect from UNKNOWN port 65535:7: No client keys on this machine .*\[E_NO_KEYS\]\r?\nDisconnected /m,
  );
});

test("so is a mistake in ssh's command line", async () => {
  await using folder = await temporaryFolder();
  const words = [...PERSISTING(folder.path), "-p", "2222", "gw.device.np", "true"];
  expect((await runProcess("ssh", words, env(folder.path))).stderr).toMatch(/:7: Port "2222" cannot .*\[E_USAGE\]/);
});

test("a proxy that has a standard error uses it, once", async () => {
  await using folder = await temporaryFolder();
  const words = ["-F", "none", ...options(folder.path, "no"), "gw.device.np", "true"];
  const { stderr } = await runProcess("ssh", words, env(folder.path));
  expect(stderr).toMatch(/^sshnp: No client keys .*\n(?: {7}.*\n)+ {7}\[E_NO_KEYS\]\n/);
  expect(stderr.match(/E_NO_KEYS/g)).toHaveLength(1);
  expect(stderr).not.toContain("Received disconnect");
});

test("a proxy whose words nobody answers does not wait for ever", async () => {
  await using folder = await temporaryFolder();
  const proxy = startProcess(
    "sh",
    ["-c", 'exec "$0" "$1" proxy gw.device.np 2>/dev/null', process.execPath, MAIN],
    env(folder.path),
  );
  const exit = await proxy.exit(); // its standard input stays open
  expect(exit).toMatchObject({ code: 255, stdout: expect.stringMatching(/^SSH-2\.0-sshnp\r\n[^]*\[E_NO_KEYS\]/) });
});

test("the packet is one by RFC 4253: its length a multiple of 8, its text printable, its code there", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), fc.string({ maxLength: 300 }), (fact, next) => {
      const bytes = Buffer.from(disconnectBytes(new SetupError("E_USAGE", fact, { next })));
      const banner = bytes.indexOf("\r\n") + 2;
      const packet = bytes.subarray(banner);
      const text = packet.subarray(14, 14 + packet.readUInt32BE(10)).toString("latin1");
      expect(packet.length % 8).toBe(0);
      expect(packet.readUInt32BE(0)).toBe(packet.length - 4);
      expect(packet[4]).toBeGreaterThanOrEqual(4);
      expect(packet.length).toBe(14 + text.length + 4 + (packet[4] ?? 0));
      expect(text).toMatch(/^[ -~]{0,390} \[E_USAGE\]$/);
    }),
    { numRuns: 50, examples: [["x".repeat(5000), "y"]] },
  );
});

function options(folder: string, master: "auto" | "no"): string[] {
  const values = [
    `ProxyCommand=${process.execPath} ${MAIN} proxy %r@%h:%p`,
    `ControlMaster=${master}`,
    ...(master === "auto" ? [`ControlPath=${folder}/%C`, "ControlPersist=60"] : []),
  ];
  return values.flatMap((value) => ["-o", value]);
}

function env(home: string) {
  return { env: { HOME: home } };
}
