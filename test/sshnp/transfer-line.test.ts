import { expect, test } from "vitest";
import { parseMember, parseName } from "../../keys/names.ts";
import { type Attempt, commandFor } from "../../sshnp/attempt.ts";
import { parseTransfer, type TransferProgram } from "../../sshnp/transfer-line.ts";

const NONE = { client: undefined, device: undefined };

test.each([
  ["scp @device -r a b pi@mygateway:/tmp", "-r -- a b pi@mygateway.device.np:/tmp", "pi"],
  ["scp @client @device -pi key mygateway: .", "-pi key -- mygateway.device.np: .", ""],
  ["scp -l 800 -o User=pi mygateway.device.np:a:b ./c:d", "-l 800 -o User=pi -- mygateway.device.np:a:b ./c:d", "pi"],
  ["scp --wait=5m @device -- -odd mygateway:", "-- -odd mygateway.device.np:", ""],
  ["scp @device mygateway:a mygateway.device.np:b", "-- mygateway.device.np:a mygateway.device.np:b", ""],
  ["scp @client mygateway.device.np:a x/y:z", "-- mygateway.device.np:a x/y:z", ""],
  ["sftp @device -b batch -P 22 pi@mygateway", "-b batch -P 22 -- pi@mygateway.device.np", "pi"],
  ["sftp @client mygateway.device.np:/tmp", "-- mygateway.device.np:/tmp", ""],
  [
    "rsync @device -av --delete src/ pi@mygateway:dst/ --exclude gw:x",
    "-av --delete --exclude gw:x -- src/ pi@mygateway.device.np:dst/",
    "pi",
  ],
  ["rsync @device --chown pi:pi -f -_*.o src mygateway:", "--chown pi:pi -f -_*.o -- src mygateway.device.np:", ""],
  ["rsync -av @device d/ pi@mygateway:d2/", "-av -- d/ pi@mygateway.device.np:d2/", "pi"],
  ["scp -r @client @device -p d pi@mygateway:", "-r -p -- d pi@mygateway.device.np:", "pi"],
  ["sftp -b batch @device mygateway", "-b batch -- mygateway.device.np", ""],
  ["scp -r @file mygateway.device.np:", "-r -- @file mygateway.device.np:", ""],
  ["rsync -avze ssh mygateway.device.np::mod .", "-avz -- mygateway.device.np::mod .", ""],
])("%s", (line, expected, login) => {
  const command = parse(line);
  expect(command.words.join(" ")).toBe(expected);
  expect(command.destination).toMatchObject({ device: { name: "@device", member: "mygateway" }, login });
});

test("names, our own options and rsync's -e are understood", () => {
  const fingerprint = `SHA256:${"A".repeat(43)}`;
  const { destination } = parse(`scp --wait=5m --keys ./k @client @device=${fingerprint} gw:a .`);
  expect(destination).toMatchObject({ client: "@client", owner: fingerprint, waitSeconds: 300, keys: "./k" });
  expect(parseTransfer("scp", ["a", "gw:b"], { client: undefined, device: parseName("@device") })).toMatchObject({
    words: ["--", "a", "gw.device.np:b"],
  });
  expect(parseTransfer("rsync", ["-e", "ssh -i 'a b'", "a", "gw.device.np:b"], NONE)).toMatchObject({
    words: ["--", "a", "gw.device.np:b"],
    sshWords: "-i 'a b'",
  });
  expect(parse("rsync -a --rsh=ssh a gw.device.np:b")).toMatchObject({
    sshWords: "",
    words: ["-a", "--", "a", "gw.device.np:b"],
  });
});

test("who logs in is what ssh will take: its options, the operand, then the setting", () => {
  const defaults = { ...NONE, user: "bob" };
  const login = (program: TransferProgram, ...words: string[]): unknown => {
    const command = parseTransfer(program, words, defaults);
    return command === "help" ? undefined : { login: command.destination.login, last: command.words.at(-1) };
  };
  expect(login("scp", "a", "gw.device.np:b")).toEqual({ login: "bob", last: "bob@gw.device.np:b" });
  expect(login("sftp", "pi@gw.device.np")).toEqual({ login: "pi", last: "pi@gw.device.np" });
  expect(login("scp", "-oUser=eve", "a", "gw.device.np:b")).toMatchObject({ login: "eve" });
  expect(login("rsync", "-e", "ssh -l eve", "a", "gw.device.np:b")).toMatchObject({ login: "eve" });
  expect(() => parseTransfer("scp", ["a", "gw.device.np:b"], { ...NONE, user: "-x" })).toThrow(/^SSHNP_USER: /);
});

test("what people are told to type next is their own command line", () => {
  const again = (line: string, device: Attempt["device"]): string => {
    const { asked } = parse(line);
    return commandFor({ client: parseName("@client"), login: "pi", directory: "http://h:1", asked, device }, "--wait");
  };
  const other = { name: parseName("@device"), member: parseMember("gate2") };
  expect(again("scp --keys k @device -r a pi@gate:b", other)).toBe("sshnp cp --wait @device -r a pi@gate2:b");
  expect(again("rsync -av @devise a gate:b", other)).toBe("sshnp rsync --wait -av @device a gate2:b");
  expect(again("sftp @client gate.devise.np", other)).toBe("sshnp sftp --wait @client gate2.device.np");
});

test.each([
  ["rsync", /sshnp rsync/],
  ["sftp", /sshnp sftp/],
  ["scp", /sshnp cp/],
] as const)("%s is told its own usage", (program, own) => {
  expect(() => parseTransfer(program, ["--wait", "4s", "@device", "a", "gw:b"], NONE)).toThrow(
    expect.objectContaining({ next: expect.stringContaining("--wait=4s") }),
  );
  expect(() => parseTransfer(program, ["@device"], NONE)).toThrow(
    expect.objectContaining({ next: expect.stringMatching(own) }),
  );
});

test.each([
  "scp",
  "scp a b",
  "scp @device a b",
  "scp @device gw:a other:b",
  "scp gw.device.np:a example.org:b",
  "scp gw:a .",
  "scp -S prog gw.device.np:a .",
  "scp -D sftp-server gw.device.np:a .",
  "scp -J hop gw.device.np:a .",
  "scp -o ProxyCommand=x gw.device.np:a .",
  "scp -P 2222 gw.device.np:a .",
  "scp -i",
  "scp --frob gw.device.np:a .",
  "sftp @device gw other",
  "sftp -D sftp-server gw.device.np",
  "rsync -e rsh gw.device.np:a .",
  "rsync --rsh=sshx gw.device.np:a .",
  "rsync --rsh=ssh;x gw.device.np:a .",
  "rsync a b --exclude gw.device.np:c",
  "rsync gw.device.np:a --exclude",
])("%s is refused", (line) => {
  expect(() => parse(line)).toThrow(expect.objectContaining({ code: "E_USAGE" }));
});

function parse(line: string) {
  const [program, ...words] = line.split(" ");
  const command = parseTransfer(program as TransferProgram, words, NONE);
  if (command === "help") throw new Error("not a transfer");
  return command;
}
