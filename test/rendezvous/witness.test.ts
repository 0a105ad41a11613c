import { writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { activationKey } from "../../keys/activation-key.ts";
import { base64, hex } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { Secret } from "../../keys/secret.ts";
import { readDirectoryKeys } from "../../keys/service-key-files.ts";
import { ADD_CHECKPOINT_BYTES, WITNESS_LOGS, WITNESS_REQUESTS_LOOPBACK_PER_SECOND } from "../../protocol/limits.ts";
import { openCheckpoint } from "../../protocol/log/checkpoint.ts";
import { parseWitness } from "../../protocol/log/cosignature.ts";
import { printAddCheckpoint, takeCosignature } from "../../protocol/log/witness.ts";
import { Witness } from "../../rendezvous/witness/witness.ts";
import { RENDEZVOUS_ACTIVATION } from "../../protocol/messages/activation.ts";
import { random, World } from "../directory/world.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { runCommand, type RunningProcess, startCommand } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { LogTree } from "./log-tree.ts";

let folder: TemporaryFolder;
let world: World;
let address: string;
let origin: string;
let honest: LogTree;
let forked: LogTree;
beforeAll(async () => {
  folder = await temporaryFolder();
  world = await World.start();
  const { keyring, port } = world.directory;
  address = `http://127.0.0.1:${port}#${keyring.fingerprint}`;
  origin = keyring.origin;
  const keys = await readDirectoryKeys(suite, world.data);
  if (keys === undefined) throw new Error("the directory has no keys");
  honest = new LogTree({ origin, key: keys.log }, 20);
  forked = new LogTree({ origin, key: keys.log }, 20, 3);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await folder.remove();
});

interface Answer {
  readonly status: number;
  readonly type: string | undefined;
  readonly body: string;
}

function post(url: string, body: string, method = "POST"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = request(`${url}/add-checkpoint`, { method, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"], body: text });
      });
      response.on("error", reject);
    });
    asking.on("error", reject);
    asking.end(body);
  });
}

async function startWitness(data: string): Promise<{ running: RunningProcess; url: string; key: string }> {
  const words = ["witness", "--data", join(folder.path, data), "--directory", address, "--listen", "127.0.0.1:0", "-v"];
  const running = startCommand("sshnp-rendezvous", words, { env: { HOME: folder.path } });
  const [, url = ""] = await running.line(/^(http:.*)$/m);
  const [, key = ""] = await running.line(/^(sshnp-witness-.*)$/m);
  await running.errorLine(/"msg":"follows"/);
  return { running, url, key };
}

const ask = (tree: LogTree, oldSize: number, size: number): string =>
  printAddCheckpoint({
    oldSize,
    proof: oldSize <= size ? tree.consistency(oldSize, size) : [],
    checkpoint: tree.checkpoint(size),
  });

test("the witness command cosigns what continues the log, under the key that witness-key prints, and nothing else", async () => {
  const { running, url, key } = await startWitness("w1");
  const first = await post(url, ask(honest, 0, 5));
  expect(first).toMatchObject({ status: 200, type: "text/plain; charset=utf-8" });
  const { publicKey } = (await readDirectoryKeys(suite, world.data))?.log ?? {};
  if (publicKey === undefined) throw new Error("the directory has no keys");
  const checkpoint = openCheckpoint(suite, honest.checkpoint(5), { origin, publicKey });
  expect(takeCosignature(suite, checkpoint, first.body, parseWitness(suite, key))).toHaveLength(1);

  expect(await post(url, ask(honest, 0, 8))).toEqual({ status: 409, type: "text/x.tlog.size", body: "5\n" });
  expect(await post(url, ask(honest, 5, 8))).toMatchObject({ status: 200 });
  expect(await post(url, ask(forked, 8, 9))).toMatchObject({ status: 422 });
  expect(await post(url, ask(forked, 8, 8))).toEqual({ status: 409, type: "text/x.tlog.size", body: "8\n" });
  expect(await post(url, ask(honest, 8, 7))).toMatchObject({ status: 400 });
  expect(await post(url, "old 0\n")).toMatchObject({ status: 400 });
  expect(await post(url, ask(honest, 0, 5).replaceAll(origin, "somebody"))).toMatchObject({ status: 404 });
  const forged = ask(honest, 8, 9).replace(
    /[A-Za-z0-9+/]{86}==|[A-Za-z0-9+/]{90}[A-Za-z0-9+/=]{2}\n$/,
    `${base64(new Uint8Array(68))}\n`,
  );
  expect(await post(url, forged)).toMatchObject({ status: 403 });
  expect(await post(url, "", "GET")).toMatchObject({ status: 405 });
  expect(await post(url, "a".repeat(ADD_CHECKPOINT_BYTES + 1))).toMatchObject({ status: 413 });
  await running.kill("SIGTERM");

  const printed = await runCommand("sshnp-rendezvous", ["witness-key", "--data", join(folder.path, "w1")], {
    env: { HOME: folder.path },
  });
  expect(printed.stdout).toBe(`${key}\n`);
  const again = await startWitness("w1");
  expect(again.key).toBe(key);
  expect(await post(again.url, ask(honest, 0, 5))).toMatchObject({ status: 409, body: "8\n" });
});

test("a witness prints where directories reach it and then its key, and wants to be told where if it listens everywhere", async () => {
  const env = { HOME: folder.path };
  const words = ["witness", "--data", join(folder.path, "public"), "--directory", address, "--listen"];
  for (const given of [
    ["0.0.0.0:0"],
    ["[::]:0"],
    ["[::0]:0"],
    ["127.0.0.1:0", "--public", "witness.example.org:7802"],
  ]) {
    const refused = await runCommand("sshnp-rendezvous", [...words, ...given], { env });
    expect(refused).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("--public") });
    expect(refused.stderr).toContain("[E_USAGE]");
  }
  const url = "https://witness.example.org/log";
  const running = startCommand("sshnp-rendezvous", [...words, "127.0.0.1:0", "--public", url], { env });
  const [key] = await running.line(/^sshnp-witness-.*$/m);
  expect(running.stdout).toBe(`${url}\n${key}\n`);
  expect(await running.kill("SIGTERM")).toMatchObject({ code: 0 });
});

test("a second witness with one key does not start", async () => {
  const { running } = await startWitness("twice");
  const words = ["witness", "--data", join(folder.path, "twice"), "--directory", address, "--listen", "127.0.0.1:0"];
  const second = await runCommand("sshnp-rendezvous", words, { env: { HOME: folder.path } });
  expect(second).toMatchObject({ code: 75, stdout: "", stderr: expect.stringContaining(`(process ${running.pid})`) });
  expect(second.stderr).toContain("[E_RUNNING]");
  await running.kill("SIGTERM");
  const after = await startWitness("twice");
  await after.running.kill("SIGTERM");
});

test("a witness that is killed while it cosigns never cosigns two trees of one size", async () => {
  for (let round = 0; round < 6; round++) {
    const cosigned = new Set<LogTree>();
    const take = (tree: LogTree, answer: Answer): void => {
      if (answer.status === 200) cosigned.add(tree);
    };
    const first = await startWitness(`killed${round}`);
    const trees = round % 2 === 0 ? [honest, forked] : [forked, honest];
    // Killed at the first answer, or while all of them are under way.
    const answers = [...trees, ...trees].map((tree) =>
      post(first.url, ask(tree, 0, 10)).then(
        (answer) => take(tree, answer),
        () => undefined,
      ),
    );
    if (round < 3) await Promise.race(answers);
    await first.running.kill("SIGKILL");
    await Promise.all(answers);
    const second = await startWitness(`killed${round}`);
    for (const tree of trees.toReversed()) {
      take(tree, await post(second.url, ask(tree, 0, 10)));
      take(tree, await post(second.url, ask(tree, 10, 10)));
    }
    expect(cosigned.size).toBe(1);
    await second.running.kill("SIGKILL");
  }
});

test("a witness whose state is damaged does not start, and says why", async () => {
  const { running, url } = await startWitness("damaged");
  expect(await post(url, ask(honest, 0, 5))).toMatchObject({ status: 200 });
  await running.kill("SIGTERM");
  await writeFile(join(folder.path, "damaged/state/witness.json"), "{}", { mode: 0o600 });
  const words = ["witness", "--data", join(folder.path, "damaged"), "--directory", address, "--listen", "127.0.0.1:0"];
  const exit = await runCommand("sshnp-rendezvous", words, { env: { HOME: folder.path } });
  expect(exit.code).not.toBe(0);
  expect(exit.stderr).toContain("E_BAD_KEY_FILE");
});

test("a rendezvous is a witness when it is told to, and says its key after its address", async () => {
  const env = { HOME: folder.path };
  const bytes = random(32);
  const { publicKey } = activationKey(suite, Secret.fromBytes(bytes), RENDEZVOUS_ACTIVATION);
  await world.administration.addRendezvous("rz1", publicKey);
  const words = ["run", "--data", join(folder.path, "rz"), "--directory", address, "--listen", "127.0.0.1:0"];
  const running = startCommand("sshnp-rendezvous", [...words, "--witness", "-c", hex(bytes)], { env });
  const [, where = ""] = await running.line(/^tcp:\/\/(.*)$/m);
  const [, key = ""] = await running.line(/^(sshnp-witness-.*)$/m);
  const answer = await post(`http://${where}`, ask(honest, 0, 5));
  expect(answer).toMatchObject({ status: 200 });
  expect(answer.body).toContain(parseWitness(suite, key).name);
  const many = await Promise.all(
    Array.from({ length: 2 * WITNESS_REQUESTS_LOOPBACK_PER_SECOND + 2 }, () =>
      post(`http://${where}`, "", "POST").catch(() => undefined),
    ),
  );
  expect(many.filter((one) => one?.status === 429).length).toBeGreaterThan(0);
});

/** A witness in this process, which follows the logs of these directories. */
async function openWitness(data: string, ...directories: readonly (readonly [string, NewLog])[]): Promise<Witness> {
  const options = { suite, random, data: join(folder.path, data), now: Date.now, log: pino({ level: "silent" }) };
  const witness = await Witness.open(options);
  for (const [directory, list] of directories) witness.follow(directory, list);
  return witness;
}

function newLog(of: string) {
  const key = Ed25519PrivateKey.generate(suite, random);
  return { origin: of, log: key.publicKey, tree: new LogTree({ origin: of, key }, 3) };
}
type NewLog = ReturnType<typeof newLog>;

test("a witness goes on cosigning when it has cosigned more logs than it keeps, and forgets none that it follows", async () => {
  const logs = Array.from({ length: WITNESS_LOGS + 2 }, (_, at) => newLog(`log-${at}`));
  const [first = expect.fail(), ...others] = logs;
  const statusOf = async (witness: Witness, { tree }: NewLog, oldSize: number, size: number): Promise<number> =>
    (await witness.answer(ask(tree, oldSize, size))).status;
  for (const log of others) {
    const witness = await openWitness("many", ["first", first], [log.origin, log]);
    if (log === others[0]) expect(await statusOf(witness, first, 0, 2)).toBe(200);
    expect(await statusOf(witness, log, 0, 2)).toBe(200);
  }
  const witness = await openWitness("many", ["first", first]);
  expect(await statusOf(witness, first, 0, 3)).toBe(409);
  expect(await statusOf(witness, first, 2, 3)).toBe(200);
});

test("a directory takes no other directory's origin, and has one alone", async () => {
  const own = newLog(origin);
  const witness = await openWitness("origins");
  const refused = expect.objectContaining({ code: "E_USAGE" });
  expect(() => witness.follow("SHA256:somebody", own)).toThrow(refused);
  const other = newLog("log-of-somebody");
  witness.follow("SHA256:somebody", other);
  witness.follow("SHA256:somebody", other);
  expect(() => witness.follow("SHA256:somebody", newLog("another-log"))).toThrow(refused);
  witness.follow(world.directory.keyring.fingerprint, own);
});
