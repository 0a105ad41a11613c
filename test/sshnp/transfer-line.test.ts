import { expect, test } from "vitest";
import { parseName } from "../../keys/names.ts";
import { parseTransfer, type TransferProgram } from "../../sshnp/transfer-line.ts";

const NONE = { client: undefined, device: undefined };

test.each([
  ["scp @device -r a b pi@mygateway:/tmp", "-r -- a b pi@mygateway.device.np:/tmp", "pi"],
  ["scp @client @device -pi key mygateway: .", "-pi key -- mygateway.device.np: .", ""],
  ["scp -l 800 -o User=pi mygateway.device.np:a:b ./c:d", "-l 800 -o User=pi -- mygateway.device.np:a:b ./c:d", ""],
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
