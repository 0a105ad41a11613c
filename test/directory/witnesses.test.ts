import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { WITNESS_PATIENCE_MS } from "../../protocol/limits.ts";
import { openCheckpoint } from "../../protocol/log/checkpoint.ts";
import { parseWitness, witnessTimes } from "../../protocol/log/cosignature.ts";
import { freePort } from "../support/free-port.ts";
import { runCommand, type RunningProcess, startCommand } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { textHash } from "./log-world.ts";
import { ScriptedWitness } from "./scripted-witness.ts";
import { suite, World } from "./world.ts";

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(async () => {
  await folder.remove();
});

interface WitnessProcess {
  readonly running: RunningProcess;
  readonly url: string;
  readonly key: string;
}

async function startWitness(data: string, address: string, port = 0): Promise<WitnessProcess> {
  const place = ["--data", join(folder.path, data), "--listen", `127.0.0.1:${port}`];
  const running = startCommand("sshnp-rendezvous", ["witness", ...place, "--directory", address, "-v"], {
    env: { HOME: folder.path },
  });
  const [, url = ""] = await running.line(/^(http:.*)$/m);
  const [, key = ""] = await running.line(/^(sshnp-witness-.*)$/m);
  await running.errorLine(/"msg":"follows"/);
  return { running, url, key };
}

/** The witnesses whose cosignatures the directory's newest checkpoint has. */
function cosigners({ directory }: World, witnesses: readonly Pick<WitnessProcess, "key">[], text: string): number {
  const { keyring } = directory;
  const checkpoint = openCheckpoint(suite, text, { origin: keyring.origin, publicKey: keyring.log.publicKey });
  return witnessTimes(
    suite,
    checkpoint,
    witnesses.map(({ key }) => parseWitness(suite, key)),
  ).length;
}

/** A directory that a scripted witness has cosigned once. */
async function startScripted() {
  const world = await World.start();
  const witness = await ScriptedWitness.start();
  const { url, verifierKey } = witness;
  await world.administration.addWitness("scripted", { url, verifierKey });
  const isCosigned = (text = world.directory.statementLog.checkpoint.text): boolean =>
    cosigners(world, [{ key: verifierKey }], text) === 1;
  await until(isCosigned);
  const append = async (text: string): Promise<"appended"> => {
    await world.directory.statementLog.append([{ subject: "@acme", hash: textHash(text) }], []);
    return "appended";
  };
  const prove = async (): Promise<string> => (await world.directory.statementLog.proof(["@acme"], 0)).checkpoint;
  return {
    ...{ world, witness, isCosigned, append, prove },
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]();
      await witness[Symbol.asyncDispose]();
    },
  };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error("it did not come to that");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("proofs carry the cosignatures of a checkpoint that was made a moment ago, and wait for no witness that is gone", async () => {
  await using world = await World.start();
  const { port, keyring, statementLog, cosigner } = world.directory;
  const address = `http://127.0.0.1:${port}#${keyring.fingerprint}`;
  const witnesses = [await startWitness("w1", address), await startWitness("w2", address)];
  for (const [i, { url, key }] of witnesses.entries()) {
    await world.administration.addWitness(`w${i}`, { url, verifierKey: key });
  }
  await until(() => cosigners(world, witnesses, statementLog.checkpoint.text) === 2);
  expect(await world.administration.witnesses()).toMatchObject([
    { name: "w0", cosigned: { size: 1 }, failure: undefined },
    { name: "w1", cosigned: { size: 1 }, failure: undefined },
  ]);

  for (let i = 0; i < 5; i++) {
    await statementLog.append([{ subject: "@acme", hash: textHash(`${i}`) }], []);
    const proof = await statementLog.proof(["@acme"], 0);
    expect(proof.checkpoint.split("\n")[1]).toBe(String(3 + 2 * i));
    expect(cosigners(world, witnesses, proof.checkpoint)).toBe(2);
  }

  await witnesses[1]?.running.kill("SIGKILL");
  await statementLog.append([{ subject: "@acme", hash: textHash("with one") }], []);
  expect(cosigners(world, witnesses, (await statementLog.proof(["@acme"], 0)).checkpoint)).toBe(1);
  await until(() => cosigner.standing("w1").failure !== undefined);
  await statementLog.append([{ subject: "@acme", hash: textHash("with one again") }], []);
  expect(cosigners(world, witnesses, (await statementLog.proof(["@acme"], 0)).checkpoint)).toBe(1);

  // It comes back where it was, and catches up.
  const back = await startWitness("w2", address, Number(new URL(witnesses[1]?.url ?? "").port));
  await until(() => cosigners(world, witnesses, statementLog.checkpoint.text) === 2);
  expect(back.key).toBe(witnesses[1]?.key);
}, 60_000);

test("what is appended does not wait for a slow witness, and proofs wait once, until it answers in time again", async () => {
  await using scripted = await startScripted();
  const { witness, isCosigned, append, prove } = scripted;
  witness.isPrompt = false;
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    await append("one");
    const question = await witness.question();
    const waiting = prove();
    expect(await Promise.race([waiting, append("two")])).toBe("appended");
    vi.advanceTimersByTime(WITNESS_PATIENCE_MS);
    expect(isCosigned(await waiting)).toBe(false);
    // Not even once more, though no time passes.
    await append("three");
    expect(isCosigned(await prove())).toBe(false);
    witness.isPrompt = true;
    witness.cosign(question); // too late
  } finally {
    vi.useRealTimers();
  }
  await until(isCosigned);
  await append("four");
  expect(isCosigned(await prove())).toBe(true);
});

test("a witness that is busy for a moment is asked again and waited for", async () => {
  await using scripted = await startScripted();
  const { witness, isCosigned, append, prove } = scripted;
  for (const status of [429, 503]) {
    witness.isPrompt = false;
    await append(`at ${status}`);
    const proof = prove();
    const { response } = await witness.question();
    witness.isPrompt = true;
    response.writeHead(status).end();
    expect(isCosigned(await proof)).toBe(true);
  }
});

test("more appends than a witness takes questions ask it about the newest alone", async () => {
  await using scripted = await startScripted();
  const { witness, append, isCosigned } = scripted;
  const before = witness.asked;
  for (let i = 0; i < 50; i++) await append(`${i}`);
  await until(isCosigned);
  expect(witness.asked - before).toBeLessThan(50);
});

test("a witness that was not reached at the start, and one added since, stop no directory, whatever they say", async () => {
  await using scripted = await startScripted();
  const { world, witness } = scripted;
  witness.isPrompt = false;
  const starting = (async () => {
    await world.pause();
    await world.resume();
  })();
  (await witness.question()).response.destroy();
  await starting;
  await using other = await ScriptedWitness.start();
  other.isPrompt = false;
  await world.administration.addWitness("other", { url: other.url, verifierKey: other.verifierKey });
  for (const asked of [witness, other]) {
    const { response } = await asked.question();
    response.writeHead(409, { "content-type": "text/x.tlog.size" }).end("1000\n");
  }
  const failure = expect.stringContaining("has cosigned 1000 entries");
  await expect.poll(() => world.administration.witnesses()).toMatchObject([{ failure }, { failure }]);
  await scripted.append("it goes on");
});

test("many proofs while the log grows all hold, and each has its cosignature", async () => {
  await using world = await World.start();
  const { port, keyring, statementLog } = world.directory;
  const witness = await startWitness("busy", `http://127.0.0.1:${port}#${keyring.fingerprint}`);
  await world.administration.addWitness("w", { url: witness.url, verifierKey: witness.key });
  await until(() => cosigners(world, [witness], statementLog.checkpoint.text) === 1);
  const over = new AbortController();
  const growing = (async () => {
    for (let i = 0; !over.signal.aborted; i++)
      await statementLog.append([{ subject: "@acme", hash: textHash(`${i}`) }], []);
  })();
  const sizes = new Set<string | undefined>();
  while (sizes.size < 5) {
    const proof = await statementLog.proof(["@acme", "@other"], 0);
    expect(cosigners(world, [witness], proof.checkpoint)).toBe(1);
    sizes.add(proof.checkpoint.split("\n")[1]);
    await new Promise(setImmediate); // a proof that is known takes no turn of the loop
  }
  over.abort();
  await growing;
}, 60_000);

test("a witness is added, listed and removed; its key under another name is refused, and what is no key as well", async () => {
  const env = { HOME: folder.path };
  const np = join(folder.path, "np");
  const directory = startCommand("sshnp-directory", ["run", "--data", np, "--listen", "127.0.0.1:0"], { env });
  const [address] = await directory.line(/^http:.*/);
  const { url, key } = await startWitness("listed", address);
  const ask = (...words: string[]) => runCommand("sshnp-directory", ["witness", ...words, "--data", np], { env });
  expect(await ask("add", "w1", url, key)).toMatchObject({ code: 0, stdout: "" });
  await until(async () => (await ask("ls")).stdout.includes("cosigns"));
  const listed = (await ask("ls")).stdout;
  expect(listed).toContain(url);
  expect(listed).toContain(key);
  const again = await ask("add", "w2", url, `other+${key.slice(key.indexOf("+") + 1)}`);
  expect(again.code).not.toBe(0);
  const renamed = await ask("add", "w1", url, key);
  expect(renamed.stderr).toContain("E_NAME_TAKEN");
  expect((await ask("add", "w3", "ftp://a", key)).stderr).toContain("E_USAGE");
  expect((await ask("add", "W3", url, key)).stderr).toContain("E_USAGE");
  await directory.stop();
  expect((await ask("ls")).stdout).toContain("not asked yet");
  expect(await ask("remove", "w1")).toMatchObject({ code: 0 });
  expect((await ask("remove", "w1")).code).toBe(2);
  expect((await ask("ls")).stdout).toBe("");
}, 60_000);

test("a whole data folder from an old backup is noticed by a witness: the directory does not serve, and says why", async () => {
  const env = { HOME: folder.path };
  const np = join(folder.path, "restored");
  const run = ["run", "--data", np, "--listen", "127.0.0.1:0"];
  const first = startCommand("sshnp-directory", run, { env });
  const [address] = await first.line(/^http:.*/);
  const { url, key } = await startWitness("of-restored", address);
  const added = await runCommand("sshnp-directory", ["witness", "add", "w1", url, key, "--data", np], { env });
  expect(added.code).toBe(0);
  const ls = async (): Promise<string> =>
    (await runCommand("sshnp-directory", ["witness", "ls", "--data", np], { env })).stdout;
  await until(async () => /cosigns +1 /.test(await ls()));
  await first.kill("SIGTERM");
  await cp(np, `${np}.backup`, { recursive: true });

  const second = startCommand("sshnp-directory", [...run, "--rendezvous", `127.0.0.1:${await freePort()}`], { env });
  await second.line(/^http:.*/);
  await until(async () => /cosigns +[2-9] /.test(await ls()));
  await second.kill("SIGTERM");

  await rm(np, { recursive: true });
  await cp(`${np}.backup`, np, { recursive: true });
  const third = await runCommand("sshnp-directory", run, { env });
  expect(third.code).not.toBe(0);
  expect(third.stderr).toContain("E_LOG");
  expect(third.stderr).toContain("The witness w1 has cosigned");
  expect(third.stderr).toContain("sshnp-directory witness remove w1");
  const fourth = startCommand("sshnp-directory", [...run, "--accept-older-log"], { env });
  await fourth.line(/^http:.*/);
}, 60_000);
