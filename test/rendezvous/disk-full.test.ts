import { spawnSync } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCommand, runProcess, startCommand, startProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

/** A container's root may often not. */
const CAN_MOUNT = spawnSync("unshare", ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;

const READY = /^(tcp|http):\/\/127\.0\.0\.1:\d+$/;

test.runIf(CAN_MOUNT)(
  "a rendezvous and a witness that have run before start on a full disk; on one that cannot be written they say so",
  async () => {
    await using home = await temporaryFolder();
    const env = { HOME: home.path };
    const np = join(home.path, "np");
    await using directory = startCommand("sshnp-directory", ["run", "--data", np, "--listen", "127.0.0.1:0"], { env });
    const [address] = await directory.line(/^http:.*/);
    const added = await runCommand("sshnp-directory", ["rendezvous", "add", "rz1", "--data", np], { env });

    const disk = join(home.path, "disk");
    await mkdir(disk);
    // A disk of 256 KiB that only this process sees, and who goes through it.
    const script = 'mount -t tmpfs -o size=256k,mode=700 none "$1" && echo mounted && exec cat';
    await using holder = startProcess("unshare", ["--mount", "sh", "-c", script, "sh", disk], { env });
    await holder.line(/^mounted$/);
    const inside = join(`/proc/${holder.pid}/root`, disk);
    const words = (command: string): string[] => {
      return [command, "--data", join(inside, command), "--directory", address, "--listen", "127.0.0.1:0"];
    };
    const serves = async (command: string, ...more: string[]): Promise<void> => {
      await using running = startCommand("sshnp-rendezvous", [...words(command), ...more], { env });
      await running.line(READY);
      expect(await running.kill("SIGTERM")).toMatchObject({ code: 0 });
    };
    const drain = ["--drain-seconds", "0"];
    await serves("run", ...drain, "-c", added.stdout.trim());
    await serves("witness");

    const filler = join(inside, "filler");
    await expect(writeFile(filler, Buffer.alloc(1024 * 1024))).rejects.toMatchObject({ code: "ENOSPC" });
    await serves("run", ...drain);
    await serves("witness");

    await rm(filler);
    const remount = ["-t", String(holder.pid), "--mount", "mount", "-o", "remount,ro", disk];
    expect(await runProcess("nsenter", remount, { env })).toMatchObject({ code: 0 });
    for (const command of ["run", "witness"]) {
      const { code, stderr } = await runCommand("sshnp-rendezvous", words(command), { env });
      expect([code, stderr]).toEqual([74, expect.stringContaining("Cannot write")]);
      expect(stderr).toContain("[E_STORAGE]");
    }
  },
  60_000,
);
