import { readFile } from "node:fs/promises";
import { type Finding, fine, toFix } from "./finding.ts";

/**
 * Whether sshd and dropbear can give out terminals when this user, who is not root, starts them. They hand each to the group
 * tty, where there is one, and end the connection when they cannot. Undefined when no terminals are mounted.
 */
export async function lookAtTerminals(): Promise<Finding | undefined> {
  const paths = ["/proc/self/mounts", "/etc/group", "/proc/self/gid_map"];
  const texts = await Promise.all(paths.map((path) => readFile(path, "latin1").catch(() => "")));
  const [mounts = "", groups = "", map = ""] = texts;
  const mount = parseTerminalMount(mounts);
  if (mount === undefined) return undefined;
  const [, tty] = /^tty:[^:\n]*:([0-9]{1,10}):/m.exec(groups) ?? [];
  return judgeTerminals(mount, {
    tty: tty === undefined ? undefined : Number(tty),
    own: process.getgroups?.() ?? [],
    areNumbersOurs: EVERY_GROUP.test(map),
  });
}

/** `gid=` is the group that new terminals have; without it they have that of whoever makes them. */
export function judgeTerminals({ gid, ptmxMode }: TerminalMount, { tty, own, areNumbersOurs }: Groups): Finding {
  const about = "terminals";
  if (tty === undefined) return fine(about, "each stays this user's, for there is no group tty");
  if (own.includes(tty)) return fine(about, "this user is in the group tty, and may hand them to it"); // chown(2)
  if (gid === tty || (gid !== undefined && !areNumbersOurs)) return fine(about, "/dev/pts gives them to the group tty");
  const options = `gid=${tty},mode=620${ptmxMode === undefined ? "" : `,ptmxmode=${ptmxMode}`}`;
  return toFix(
    about,
    `/dev/pts gives none to the group tty (${tty}), so this user's SSH server ends sessions that ask for one; commands without work`,
    `As root: mount -o remount,${options} /dev/pts, and for good in /etc/fstab: devpts /dev/pts devpts ${options} 0 0; or run sshnpd in that group (systemd: SupplementaryGroups=tty); or use the built-in server: --ssh-mode builtin`,
  );
}

interface Groups {
  /** The number of the group of that name; undefined where there is none. */
  readonly tty: number | undefined;
  /** All that this process is in. */
  readonly own: readonly number[];
  /** False in a user namespace: the kernel tells mounts' groups by the numbers of the machine (user_namespaces(7)). */
  readonly areNumbersOurs: boolean;
}

export interface TerminalMount {
  readonly gid: number | undefined;
  /** Octal. A remount that does not name it may take it away. */
  readonly ptmxMode: string | undefined;
}

/**
 * How terminals are mounted, from the table in /proc/PID/mounts: `DEVICE PATH TYPE OPTION,... 0 0` (fstab(5)), and the last
 * one at a path hides those before it. Undefined when /dev/pts has none.
 */
export function parseTerminalMount(table: string): TerminalMount | undefined {
  const mounts = table.split("\n").map((line) => line.split(" "));
  const [, , type, options = ""] = mounts.findLast(([, path]) => path === "/dev/pts") ?? [];
  if (type !== "devpts") return undefined;
  const [, gid] = /(?:^|,)gid=([0-9]{1,10})(?:,|$)/.exec(options) ?? [];
  const [, ptmxMode] = /(?:^|,)ptmxmode=([0-7]{1,4})(?:,|$)/.exec(options) ?? [];
  return { gid: gid === undefined ? undefined : Number(gid), ptmxMode };
}

/** The one line of the map of a process that is in no user namespace. */
const EVERY_GROUP = /^\s*0\s+0\s+4294967295\s*$/;
