import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, copyFile, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseMember, parseName } from "../../keys/names.ts";
import { deviceAtBroker } from "../../protocol/broker-topics.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { CAN_MAKE_USERS, ordinaryUser } from "../support/ordinary-user.ts";
import { commandFile } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const COMPOSE = join(import.meta.dirname, "../../compose");
const FOLDERS = ["broker", "database", "directory-one", "directory-two", "mygateway", "scanner"];

test.runIf(CAN_MAKE_USERS)(
  "an authority that was ended between a key and its certificate makes both anew",
  async () => {
    await using user = await ordinaryUser();
    const at = user.home;
    for (const folder of FOLDERS) await mkdir(join(at, "for", folder), { recursive: true });
    await mkdir(join(at, "authority"));
    const script = readFileSync(join(COMPOSE, "fleet/authority"), "utf8");
    await writeFile(join(at, "script"), script.replaceAll(/(?<= |"|<|>)\/(?=authority\/|for\/|tmp\/)/g, `${at}/`));
    await mkdir(join(at, "tmp"));
    execFileSync("chown", ["-R", `${user.uid}:${user.gid}`, at]);
    const { uid, gid } = user;
    const run = (): Buffer =>
      execFileSync("bash", [join(at, "script"), "services"], { uid, gid, cwd: at, stdio: "pipe" });
    const openssl = (...words: string[]): string => execFileSync("openssl", words, { encoding: "utf8" });
    run();
    const [key, next, certificate] = ["key.pem", "key.new", "cert.pem"].map((name) => join(at, "for/broker", name));
    if (key === undefined || next === undefined || certificate === undefined) return expect.unreachable();
    await rm(certificate);
    await copyFile(key, next);
    await chmod(next, 0o444);
    run();
    expect(openssl("x509", "-in", certificate, "-noout", "-pubkey")).toBe(openssl("pkey", "-in", key, "-pubout"));
    for (const which of ["one", "two"]) {
      const name = openssl("x509", "-in", join(at, `for/directory-${which}/cert.pem`), "-noout", "-subject");
      expect(name).toContain(`sshnp-directory-${which}`);
      expect(readFileSync(join(COMPOSE, "fleet/mosquitto.acl"), "utf8")).toContain(`user sshnp-directory-${which}\n`);
    }
  },
);

test("an authority gives a device a certificate in the name that it has at the broker", async () => {
  await using folder = await temporaryFolder();
  const at = folder.path;
  for (const name of FOLDERS) await mkdir(join(at, "for", name), { recursive: true });
  for (const name of ["authority", "tmp", "handed-over", "bin"]) await mkdir(join(at, name));
  const fingerprint = "SHA256:zoDFW6rP8ngC8URg2sG/m9Rij43qu8M++V+B72RnQQs";
  await writeFile(join(at, "handed-over/address"), `http://directory:7800#${fingerprint}\n`);
  await symlink(commandFile("sshnp-directory"), join(at, "bin/sshnp-directory"));
  const script = readFileSync(join(COMPOSE, "fleet/authority"), "utf8");
  await writeFile(
    join(at, "script"),
    script.replaceAll(/(?<= |"|<|>)\/(?=authority\/|for\/|tmp\/|handed-over\/)/g, `${at}/`),
  );
  const env = { ...process.env, HOME: at, PATH: `${join(at, "bin")}:${process.env["PATH"]}` };
  const run = (...words: string[]): Buffer =>
    execFileSync("bash", [join(at, "script"), ...words], { cwd: at, env, stdio: "pipe" });
  run("services");
  run("devices", "@device/mygateway", "@depot/scanner");
  for (const [name, member] of [
    ["@device", "mygateway"],
    ["@depot", "scanner"],
  ] as const) {
    const words = ["x509", "-in", join(at, "for", member, "cert.pem"), "-noout", "-subject", "-nameopt", "multiline"];
    const atBroker = deviceAtBroker(suite, fingerprint, { name: parseName(name), member: parseMember(member) });
    expect(execFileSync("openssl", words, { encoding: "utf8" })).toMatch(new RegExp(`commonName += ${atBroker}\n`));
  }
});

test("what is handed over is in a volume that one service has beside the one that hands it over", () => {
  const text = readFileSync(join(COMPOSE, "fleet.yml"), "utf8");
  const mounts = Array.from(text.matchAll(/^ +- (fleet-handed-\S+?):(\S+)$/gm), ([, volume = "", place = ""]) => ({
    volume,
    place,
  }));
  const at = (place: RegExp): string[] => mounts.filter((one) => place.test(one.place)).map(({ volume }) => volume);
  const given = at(/^\/hand-over\//);
  expect(given.length).toBeGreaterThan(1);
  expect(at(/^\/handed-over:ro$/).toSorted()).toEqual(given.toSorted());
  expect(new Set(given).size).toBe(given.length);
});
