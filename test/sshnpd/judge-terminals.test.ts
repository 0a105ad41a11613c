import { expect, test } from "vitest";
import { judgeTerminals, parseTerminalMount } from "../../sshnpd/judge-terminals.ts";

const USUAL = { tty: 5, own: [1000], areNumbersOurs: true };
const fix = (options: string): object => ({
  about: "terminals",
  isFine: false,
  text: "/dev/pts gives none to the group tty (5), so this user's SSH server ends sessions that ask for one; commands without work",
  next: `As root: mount -o remount,${options} /dev/pts, and for good in /etc/fstab: devpts /dev/pts devpts ${options} 0 0; or run sshnpd in that group (systemd: SupplementaryGroups=tty); or use the built-in server: --ssh-mode builtin`,
});

// What OpenSSH 9.2 and dropbear 2022.83 do under each of these, test/e2e/terminals-of-others.test.ts shows.
test.each([
  ["without a group", "rw,relatime,mode=600,ptmxmode=000", USUAL, "gid=5,mode=620,ptmxmode=000"],
  ["whatever their mode", "rw,relatime,mode=620,ptmxmode=666", USUAL, "gid=5,mode=620,ptmxmode=666"],
  ["of an older kernel", "rw,mode=600", USUAL, "gid=5,mode=620"],
  ["of another group", "rw,gid=7,mode=620,ptmxmode=666", USUAL, "gid=5,mode=620,ptmxmode=666"],
  ["in a user namespace", "rw,mode=620", { ...USUAL, areNumbersOurs: false }, "gid=5,mode=620"],
])("terminals %s are to be fixed: %s", (_which, options, groups, fixed) => {
  const mount = parseTerminalMount(`devpts /dev/pts devpts ${options} 0 0\n`);
  expect(mount && judgeTerminals(mount, groups)).toEqual(fix(fixed));
});

test.each([
  ["of that group", "rw,gid=5,mode=620", USUAL],
  ["of that group, whatever their mode", "rw,gid=5,mode=600", USUAL],
  ["whose maker is in it", "rw,mode=600", { ...USUAL, own: [1000, 5] }],
  ["where there is no such group", "rw,mode=600", { ...USUAL, tty: undefined }],
  ["of a group by a number of another namespace", "rw,gid=100005,mode=620", { ...USUAL, areNumbersOurs: false }],
])("terminals %s are fine: %s", (_which, options, groups) => {
  const mount = parseTerminalMount(`devpts /dev/pts devpts ${options} 0 0\n`);
  expect(mount && judgeTerminals(mount, groups)).toMatchObject({ isFine: true });
});

test("the last mount hides those before it, and other mounts say nothing", () => {
  const first = "devpts /dev/pts devpts rw,mode=600,ptmxmode=000 0 0\n";
  const last = "none /dev/pts devpts rw,gid=5,mode=620,ptmxmode=666 0 0\nnone /mnt/pts devpts rw,gid=7 0 0\n";
  expect(parseTerminalMount(`${first}${last}`)).toEqual({ gid: 5, ptmxMode: "666" });
  expect(parseTerminalMount(`${first}none /dev/pts tmpfs rw,gid=5 0 0\n`)).toBe(undefined);
  expect(parseTerminalMount("none /dev/pts devpts rw,xgid=5,gid=5x,ptmxmode=9 0 0\n")).toEqual({});
  expect(parseTerminalMount("")).toBe(undefined);
});
