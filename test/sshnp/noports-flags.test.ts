import { expect, test } from "vitest";
import { fromNoPorts, fromNpt, NPT_FLAGS, SSHNP_FLAGS } from "../../sshnp/noports-flags.ts";
import type { NoPortsFlag } from "../../sshnp/noports-words.ts";
import { parseSessionCommand } from "../../sshnp/command-line.ts";

/** Ours, what a line on stderr says beside it, or the fact with which it is refused. */
type Outcome = { readonly ours: string; readonly note?: string } | { readonly refused: string };

const LINE = "-f @c -t @d -d gw";
const NAMES = "@c @d gw";

/** Every option in the usage texts of NoPorts' sshnp, 2024 to 2026, in each of its spellings. */
const SSHNP: Readonly<Record<string, Outcome>> = {
  "--help": { ours: "--help" },
  "--version": { ours: "--version" },
  "--key-file k": { refused: "Key files of NoPorts are not read" },
  "-k k": { refused: "Key files of NoPorts are not read" },
  "--pass-phrase hunter2": { refused: "A passphrase is not taken from the command line" },
  "-P hunter2": { refused: "A passphrase is not taken from the command line" },
  "--from @x": { ours: "@x @d gw" },
  "--from=@x": { ours: "@x @d gw" },
  "-f @x": { ours: "@x @d gw" },
  "-f@x": { ours: "@x @d gw" },
  "--to @x": { ours: "@c @x gw" },
  "-t @x": { ours: "@c @x gw" },
  "--device My_Gw": { ours: "@c @d my_gw" },
  "-d x": { ours: "@c @d x" },
  "--srvd @rv": { ours: NAMES, note: "--srvd has no effect: the directory names the rendezvous." },
  "-r @rv": { ours: NAMES, note: "-r has no effect: the directory names the rendezvous." },
  "--rvd @rv": { ours: NAMES, note: "--rvd has no effect: the directory names the rendezvous." },
  "--rv @rv": { ours: NAMES, note: "--rv has no effect: the directory names the rendezvous." },
  "--host @rv": { ours: NAMES, note: "--host has no effect: the directory names the rendezvous." },
  "-h @rv": { ours: NAMES, note: "-h has no effect: the directory names the rendezvous." },
  "--local-port 2222": { refused: "-l names no port here" },
  "-l 2222": { refused: "-l names no port here" },
  "-l 0": { ours: NAMES },
  "--identity-file ~/.ssh/id": { ours: `${NAMES} -i ~/.ssh/id` },
  "-i k": { ours: `${NAMES} -i k` },
  "--identity-passphrase hunter2": { refused: "The passphrase of an SSH key is not taken from the command line" },
  "--send-ssh-public-key": { ours: `-s ${NAMES}` },
  "-s": { ours: `-s ${NAMES}` },
  "--local-ssh-options LogLevel=DEBUG": { ours: `${NAMES} -o LogLevel=DEBUG` },
  "-o LogLevel=DEBUG -o Compression=yes": { ours: `${NAMES} -o LogLevel=DEBUG -o Compression=yes` },
  "--local-ssh-options=-L 80:localhost:80": { refused: '"80:localhost:80" stands among options of NoPorts' },
  "--add-forwards-to-tunnel": { ours: NAMES, note: "--add-forwards-to-tunnel has no effect: there is one ssh" },
  "--remote-user-name pi": { ours: "@c @d pi@gw" },
  "-u pi": { ours: "@c @d pi@gw" },
  "--tunnel-user-name pi": { ours: NAMES, note: "--tunnel-user-name has no effect: there is one ssh" },
  "-U pi": { ours: NAMES, note: "-U has no effect: there is one ssh" },
  "--remote-sshd-port 22": { ours: NAMES },
  "--remote-sshd-port 2222": { refused: "The daemon on the device knows where its SSH server listens." },
  "--root-domain root.atsign.org": { refused: "There is no root server" },
  "--idle-timeout 15": { ours: NAMES, note: "--idle-timeout has no effect: a session ends with its ssh." },
  "--ssh-algorithm ssh-rsa": { ours: NAMES, note: "--ssh-algorithm has no effect: keys of SSH are your own" },
  "--ssh-client openssh": { ours: NAMES },
  "--ssh-client dart": { refused: "The ssh of this machine is used, or a client of our own." },
  "--config-file home.env": { refused: "Profiles of NoPorts are not read as they are." },
  "--profile-name home": { refused: "Profiles of NoPorts are not read as they are." },
  "--list-devices": { ours: "ls @c @d" },
  "--ls": { ours: "ls @c @d" },
  "--authenticate-client-to-rvd": { ours: NAMES, note: "--authenticate-client-to-rvd has no effect: it is always so." },
  "--ac": { ours: NAMES, note: "--ac has no effect: it is always so." },
  "--no-authenticate-client-to-rvd": { refused: "Both ends always prove themselves" },
  "--no-ac": { refused: "Both ends always prove themselves" },
  "--authenticate-device-to-rvd": { ours: NAMES, note: "--authenticate-device-to-rvd has no effect: it is always so." },
  "--ad": { ours: NAMES, note: "--ad has no effect: it is always so." },
  "--no-authenticate-device-to-rvd": { refused: "Both ends always prove themselves" },
  "--no-ad": { refused: "Both ends always prove themselves" },
  "--encrypt-rvd-traffic": { ours: NAMES, note: "--encrypt-rvd-traffic has no effect: it is always so." },
  "--et": { ours: NAMES, note: "--et has no effect: it is always so." },
  "--no-encrypt-rvd-traffic": { refused: "Both ends always prove themselves" },
  "--no-et": { refused: "Both ends always prove themselves" },
  "--daemon-ping-timeout 20": { ours: NAMES, note: "--daemon-ping-timeout has no effect: no ping comes first" },
  "--dpt 20": { ours: NAMES, note: "--dpt has no effect: no ping comes first" },
  "--443": { ours: NAMES, note: "--443 has no effect: the directory says where a rendezvous is reached" },
  "--relay-auth-mode escr": { ours: NAMES, note: "--relay-auth-mode has no effect: it is always so." },
  "--output-execution-command": { ours: `-x ${NAMES}` },
  "-x": { ours: `-x ${NAMES}` },
  "--quiet": { ours: NAMES, note: "--quiet has no effect: nothing is told" },
  "-q": { ours: NAMES, note: "-q has no effect: nothing is told" },
  "--verbose": { ours: `-v ${NAMES}` },
  "-v": { ours: `-v ${NAMES}` },
  "-svx": { ours: `-x -s -v ${NAMES}` },
};

/** The same of npt; what is ours stands behind `sshnp forward`. */
const NPT: Readonly<Record<string, Outcome>> = {
  ...Object.fromEntries(
    Object.entries(SSHNP)
      .filter(
        ([words]) =>
          NPT_FLAGS.some((flag) => isNamed(flag, words)) &&
          !/^-(?:l|h|v|svx|t|f|d|x)\b|^--(?:local-port|version|verbose)/.test(words),
      )
      .filter(([words]) => !/^--(?:help|from|to|device)|^-[ftd]/.test(words)),
  ),
  "--help": { ours: "--help" },
  "--version": { refused: "This is no command of its own." },
  "-f @x": { ours: "@x @d gw" },
  "--from @x": { ours: "@x @d gw" },
  "-t @x": { ours: "@c @x gw" },
  "--to @x": { ours: "@c @x gw" },
  "-d x": { ours: "@c @d x" },
  "--device x": { ours: "@c @d x" },
  "--remote-port 5432": { ours: `${NAMES} 0:localhost:5432` },
  "-p 5432": { ours: `${NAMES} 0:localhost:5432` },
  "--rp 5432": { ours: `${NAMES} 0:localhost:5432` },
  "-p 80 --remote-host web": { ours: `${NAMES} 0:web:80` },
  "-p 80 -h web": { ours: `${NAMES} 0:web:80` },
  "-p 80 --rh fd00::1": { ours: `${NAMES} 0:[fd00::1]:80` },
  "-p 80 --local-port 8080": { ours: `${NAMES} 8080:localhost:80` },
  "-p 80 -l 8080": { ours: `${NAMES} 8080:localhost:80` },
  "-p 80 --lp 8080": { ours: `${NAMES} 8080:localhost:80` },
  "-p 80 -l 8080 --local-host 0.0.0.0": { ours: `${NAMES} 0.0.0.0:8080:localhost:80` },
  "-p 80 -l 8080 --lh localhost": { ours: `${NAMES} 8080:localhost:80` },
  "--per-session-storage": { ours: NAMES, note: "--per-session-storage has no effect" },
  "--pss": { ours: NAMES, note: "--pss has no effect" },
  "--no-per-session-storage": { ours: NAMES, note: "--no-per-session-storage has no effect" },
  "--no-pss": { ours: NAMES, note: "--no-pss has no effect" },
  "--exit-when-connected": { refused: "A forwarded port lives as long as the command that forwards it" },
  "-x": { refused: "A forwarded port lives as long as the command that forwards it" },
  "--keep-alive": { ours: `--keep-alive ${NAMES}` },
  "-K": { ours: `--keep-alive ${NAMES}` },
  "--timeout 1h": { ours: `--timeout=1h ${NAMES}` },
  "-T 30s": { ours: `--timeout=30s ${NAMES}` },
  "-T 0": { ours: NAMES },
  "-T 1d": { ours: `--timeout=24h ${NAMES}` },
  "-T 1h,14m": { ours: `--timeout=74m ${NAMES}` },
  "-T soon": { ours: `--timeout=soon ${NAMES}` },
  "--verbose": { ours: `-v ${NAMES}` },
  "-v": { ours: `-v ${NAMES}` },
};

test.each(Object.entries(SSHNP))("sshnp -f @c -t @d -d gw %s", (words, outcome) => {
  const line = `${LINE} ${words}`.split(" ");
  expectOutcome(() => fromNoPorts(line), outcome);
  if ("ours" in outcome && outcome.ours.includes("gw") && !outcome.ours.startsWith("ls")) {
    expect(parseSessionCommand(outcome.ours.split(" "))).toMatchObject({ destination: { device: { name: /./ } } });
  }
});

test.each(Object.entries(NPT))("npt -f @c -t @d -d gw %s", (words, outcome) => {
  expectOutcome(() => fromNpt(`${LINE} ${words}`.split(" ")), outcome);
});

test("no name of an option goes without an outcome", () => {
  for (const [flags, table] of [
    [SSHNP_FLAGS, SSHNP],
    [NPT_FLAGS, NPT],
  ] as const) {
    const tried = new Set(Object.keys(table).flatMap((words) => words.split(/[ =]/)));
    for (const { names } of flags) for (const name of names) expect([...tried], name).toContain(name);
  }
});

test("a device that is not named is called default, and who is not named comes from the settings", () => {
  expect(fromNoPorts(["--from", "@c", "--to", "@d"])?.words).toEqual(["@c", "@d", "default"]);
  expect(fromNoPorts(["-d", "gw", "-u", "pi"])?.words).toEqual(["pi@gw"]);
  expect(fromNoPorts(["--list-devices"])?.words).toEqual(["ls"]);
  expect(fromNoPorts(["--ls", "-f", "@c"])).toEqual({
    words: ["ls"],
    notes: [expect.stringMatching(/^-f @c has no effect: without -t/)],
  });
});

test("our own options go along, so that a line that somebody has kept can be made to work", () => {
  const words = [
    "--wait=10m",
    "--keys",
    "k",
    "--directory=http://h:1#f",
    "-f",
    "@c",
    "-t",
    "@d",
    "-d",
    "gw",
    "--no-wait",
    "--no-session-key",
  ];
  expect(fromNoPorts(words)?.words).toEqual([
    "--wait=10m",
    "--keys",
    "k",
    "--directory=http://h:1#f",
    "--no-wait",
    "--no-session-key",
    "@c",
    "@d",
    "gw",
  ]);
});

test("an option of ssh's behind -o is ssh's, in as many words as it has", () => {
  const words = ["-f", "@c", "-t", "@d", "-d", "gw", "-o", "-L 8080:localhost:80 -N", "-o", "Port=22"];
  expect(fromNoPorts(words)?.words.slice(3)).toEqual(["-L", "8080:localhost:80", "-N", "-o", "Port=22"]);
});

// -f and -t are ssh's as well, and no session of ours is taken for one of NoPorts.
test.each([
  "@device gw",
  "@c @device gw -f @x -t @d",
  "-f @c @device gw",
  "-t @c pi@gw.device.np",
  "-tf @c @device gw",
  "-v -t @c @device gw",
  "-s -x --wait @device gw",
  "-i key -p 22 -o User=x @c @device gw",
  "-l -d @c @device gw",
  "--keys --from @c @device gw",
  "--directory --to @c @device gw",
  "--help",
  "--version",
  "-h",
  "-k @c @device gw",
  "-P tag @c @device gw",
  "-- -f @c",
  "",
])("%j is a line of ours", (line) => {
  expect(fromNoPorts(line.split(" "))).toBeUndefined();
});

test.each(["-f @c", "-t @d -f @c", "-t@d", "-v -r @rv", "-x --srvd=@rv", "-U pi", "-s -u pi", "--ls", "-q -h @rv"])(
  "%j is a line of NoPorts",
  (line) => {
    expect(fromNoPorts(line.split(" "))).toBeDefined();
  },
);

test.each([
  ["-f @c -t", "-t lacks its argument."],
  ["-f @c --device", "--device lacks its argument."],
  ["-f @c -z", '"-z" is an option of neither NoPorts nor sshnp.'],
  ["--from @c --frm=@d", '"--frm" is an option of neither NoPorts nor sshnp.'],
  ["-f --ls", '"--ls" is not a name.'],
  ["-f @c -t c", '"c" is not a name.'],
  ["-f @c -d -x", '"-x" is not a name for a device or client.'],
  ["-f @c -u -oProxyCommand=x", '"-oProxyCommand=x" is not a user name.'],
  ["--from @c @d gw", '"@d" stands among options of NoPorts'],
])("%s is refused: %s", (line, fact) => {
  expect(() => fromNoPorts(line.split(" "))).toThrow(expect.objectContaining({ code: "E_USAGE" }));
  expect(() => fromNoPorts(line.split(" "))).toThrow(fact);
});

test.each(["-p 80 -l -x", "-p 80 -l 80 --lh -x", "-p 80 -l 80:x"])("npt %s is refused", (line) => {
  expect(() => fromNpt(line.split(" "))).toThrow("is no end of a tunnel on this machine.");
});

function isNamed({ names }: NoPortsFlag, words: string): boolean {
  return names.includes(words.split(/[ =]/)[0] ?? "");
}

function expectOutcome(translate: () => ReturnType<typeof fromNoPorts>, outcome: Outcome): void {
  if ("refused" in outcome) {
    const told = {
      code: "E_USAGE",
      message: expect.stringContaining(outcome.refused),
      next: expect.stringMatching(/./),
    };
    expect(translate).toThrow(expect.objectContaining(told));
    expect(translate).not.toThrow("hunter2");
    return;
  }
  const { words, notes } = translate() ?? { words: [], notes: [] };
  expect(words.join(" ")).toBe(outcome.ours);
  expect(notes).toEqual(outcome.note === undefined ? [] : [expect.stringContaining(outcome.note)]);
}
