/**
 * The programs of a rendezvous's machine, as they are, beside stand-ins for what is AWS's and the kernel's: its command line, its
 * metadata (version 2, by a server of its own), disks and the engine.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Exit, runProcess, startProcess } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { TERRAFORM } from "./configuration.ts";

const MACHINE = join(TERRAFORM, "modules/rendezvous/machine");
const SECRET = "0123456789abcdef".repeat(4);
const VOLUME = "nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0";

let folder: TemporaryFolder;
let metadata: Server;
let env: Record<string, string> & { HOME: string };
/** What the metadata say of where the machine is to go. */
let state = "InService";
/** How often that was asked. */
let looks = 0;
const at = (...parts: string[]): string => join(folder.path, ...parts);
/** What was done, a line each. */
const done = (): string[] => (existsSync(at("done")) ? readFileSync(at("done"), "utf8").trim().split("\n") : []);

/** A program of the machine's that writes down how it was called, and then does this. */
function program(name: string, script: string): void {
  writeFileSync(at("bin", name), `#!/bin/bash\necho "${name} $*" >>"${at("done")}"\n${script}\n`);
  chmodSync(at("bin", name), 0o755);
}

beforeEach(async () => {
  folder = await temporaryFolder();
  for (const name of ["bin", "devices"]) mkdirSync(at(name));
  state = "InService";
  looks = 0;
  metadata = createServer((request, response) => {
    const { method, url, headers } = request;
    const isToken = method === "PUT" && url === "/latest/api/token";
    if (isToken) return void response.end(headers["x-aws-ec2-metadata-token-ttl-seconds"] === undefined ? "" : "token");
    if (headers["x-aws-ec2-metadata-token"] !== "token") return void response.writeHead(401).end();
    if (url === "/latest/meta-data/instance-id") return void response.end("i-0123456789abcdef0");
    if (url === "/latest/meta-data/autoscaling/target-lifecycle-state") {
      looks += 1;
      return void response.end(state);
    }
    response.writeHead(404).end();
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => metadata.once("listening", resolve));
  program(
    "aws",
    `case "$1 $2" in
  "ec2 attach-volume") touch "${at("devices", VOLUME)}" ;;
  "secretsmanager get-secret-value") echo ${SECRET} ;;
  "ecr get-login-password") echo password ;;
esac`,
  );
  program(
    "docker",
    `case "$1" in login) cat >/dev/null ;; image) test -e "${at("pulled")}" ;; pull) touch "${at("pulled")}" ;; esac`,
  );
  program("mountpoint", `test -e "${at("mounted")}"`);
  program("mount", `touch "${at("mounted")}"`);
  program("blkid", `test -e "${at("formatted")}" || exit 2`);
  program("mkfs.ext4", `touch "${at("formatted")}"`);
  program("systemctl", "");
  env = {
    ...{
      HOME: folder.path,
      PATH: `${at("bin")}:${process.env["PATH"]}`,
      DATA: at("data"),
      HANDED_OVER: at("handed-over"),
    },
    ...{ METADATA: `http://127.0.0.1:${(metadata.address() as AddressInfo).port}`, DEVICES: at("devices") },
    ...{ AWS_REGION: "eu-west-1", ADDRESS: "eipalloc-1", VOLUME: "vol-0123456789abcdef0", SECRET: "arn:secret" },
    ...{ REGISTRY: "images.example.org", IMAGE: "images.example.org/np@sha256:1", GROUP: "np-one", HOOK: "drain" },
  };
});
afterEach(async () => {
  metadata.closeAllConnections();
  metadata.close();
  await folder.remove();
});

const prepare = (): Promise<Exit> => runProcess("bash", [join(MACHINE, "prepare")], { env });

describe.runIf(process.getuid?.() === 0)("before a rendezvous starts", () => {
  test("the first time it has its address, a new volume, its one-time secret and its image", async () => {
    expect(await prepare()).toMatchObject({ code: 0, stderr: "" });
    expect(done()).toEqual([
      "aws ec2 associate-address --allocation-id eipalloc-1 --instance-id i-0123456789abcdef0 --allow-reassociation",
      `mountpoint -q ${at("data")}`,
      "aws ec2 attach-volume --volume-id vol-0123456789abcdef0 --instance-id i-0123456789abcdef0 --device /dev/sdf",
      `blkid -p ${at("devices", VOLUME)}`,
      `mkfs.ext4 -q ${at("devices", VOLUME)}`,
      `mount -o nodev,nosuid,noexec ${at("devices", VOLUME)} ${at("data")}`,
      "aws secretsmanager get-secret-value --secret-id arn:secret --query SecretString --output text",
      "docker image inspect images.example.org/np@sha256:1",
      expect.stringMatching(
        /^(aws ecr get-login-password|docker login --username AWS --password-stdin images.example.org)$/,
      ),
      expect.stringMatching(
        /^(aws ecr get-login-password|docker login --username AWS --password-stdin images.example.org)$/,
      ),
      "docker pull -q images.example.org/np@sha256:1",
    ]);
    const secret = statSync(at("handed-over/secret"));
    expect([secret.uid, secret.gid, secret.mode & 0o777]).toEqual([1000, 1000, 0o600]);
    expect(readFileSync(at("handed-over/secret"), "utf8")).toBe(`${SECRET}\n`);
    const data = statSync(at("data/data"));
    expect([data.uid, data.mode & 0o777]).toEqual([1000, 0o700]);
  });

  test("once it is activated no secret is read, and none is left; a volume with data keeps them", async () => {
    await prepare();
    mkdirSync(at("data/data/state"));
    writeFileSync(at("data/data/state/rendezvous.json"), "{}");
    writeFileSync(at("done"), "");
    expect(await prepare()).toMatchObject({ code: 0, stderr: "" });
    expect(existsSync(at("handed-over/secret"))).toBe(false);
    expect(done().filter((line) => /get-secret|mkfs|attach|pull/.test(line))).toEqual([]);
  });

  test("a volume that cannot be looked at is not made anew", async () => {
    program("blkid", "exit 4");
    await prepare();
    expect(done().filter((line) => line.startsWith("mkfs"))).toEqual([]);
  });

  test("what is not to be had fails, for systemd to try again, and nothing is begun", async () => {
    program("aws", '[[ "$1 $2" == "ec2 attach-volume" ]] && exit 254; exit 0');
    expect((await prepare()).code).not.toBe(0);
    expect(done().filter((line) => /^(mkfs|mount -o|docker)/.test(line))).toEqual([]);
  });
});

test("a machine that is to end has its rendezvous finish first, and says then that it may end", async () => {
  const drain = startProcess("bash", [join(MACHINE, "drain")], { env: { ...env, POLL_SECONDS: "0.05" } });
  await expect.poll(() => looks).toBeGreaterThan(1);
  expect(done()).toEqual([]);
  state = "Terminated";
  expect(await drain.exit()).toMatchObject({ code: 0 });
  expect(done()).toEqual([
    "systemctl stop sshnp-rendezvous.service",
    "aws autoscaling complete-lifecycle-action --auto-scaling-group-name np-one --lifecycle-hook-name drain --instance-id i-0123456789abcdef0 --lifecycle-action-result CONTINUE",
  ]);
});
