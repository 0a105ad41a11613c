import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { RunAs } from "./processes.ts";

const ROOT = join(import.meta.dirname, "../..");
const execute = promisify(execFile);

/** True where tests can make users; without root they cannot. */
export const CAN_MAKE_USERS: boolean = process.getuid?.() === 0;

/** A user of this machine that exists for one test. Its password is not set, which sshd does not take for a locked account. */
export interface OrdinaryUser extends RunAs, AsyncDisposable {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** Its own home folder, removed with it. */
  readonly home: string;
  /** Ends all its processes, then removes user and home. */
  remove(): Promise<void>;
}

/**
 * Makes a user, a member of the further `groups` given; only root can. Run programs as it with the option `user` of
 * processes.ts.
 */
export async function ordinaryUser(groups: readonly string[] = []): Promise<OrdinaryUser> {
  const name = `np-${randomBytes(4).toString("hex")}`;
  const comment = `sshnp test ${process.env["SSHNP_TEST_RUN"] ?? ""}`; // scripts/test-leftovers.mjs looks for it
  await execute("useradd", [
    "--create-home",
    "--user-group",
    ...(groups.length === 0 ? [] : ["--groups", groups.join(",")]),
    "--shell",
    "/bin/sh",
    "--password",
    "*",
    "--comment",
    comment,
    name,
  ]);
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid, , home = ""] = line?.split(":") ?? [];
  const remove = async (): Promise<void> => {
    endProcessesOf(Number(uid));
    await execute("userdel", ["--force", "--remove", name]);
  };
  return {
    name,
    uid: Number(uid),
    gid: Number(gid),
    home,
    setprivArguments: ["--reuid", name, "--regid", name, "--init-groups"],
    get installation(): string {
      return installInto(join(home, "installation"));
    },
    remove,
    [Symbol.asyncDispose]: remove,
  };
}

/** The repository may lie where only root can read, as in /root; so the user gets a copy of what the commands need. */
function installInto(folder: string): string {
  if (existsSync(folder)) return folder;
  const lock: { packages: Record<string, { dev?: boolean }> } = JSON.parse(
    readFileSync(join(ROOT, "package-lock.json"), "utf8"),
  );
  const packages = Object.keys(lock.packages).filter((path) => path !== "" && lock.packages[path]?.dev !== true);
  for (const path of ["package.json", "dist", ...packages]) {
    if (!existsSync(join(ROOT, path))) continue; // an optional package for another platform
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(ROOT, path), join(folder, path), { recursive: true });
  }
  return folder;
}

function endProcessesOf(uid: number): void {
  for (const pid of readdirSync("/proc").map(Number)) {
    try {
      if (pid > 0 && statSync(`/proc/${pid}`).uid === uid) process.kill(pid, "SIGKILL");
    } catch {
      // it has ended meanwhile
    }
  }
}
