import { spawnSync } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "vitest";
import { DirectoryClient } from "../../directory/client.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { parseCramSecret } from "../../keys/secret.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { demandAll } from "../directory/acknowledged.ts";
import { activate, newPerson, patience, type Person, random, suite, World } from "../directory/world.ts";
import { MetricsPort } from "../support/metrics.ts";
import { Postgres } from "../support/postgres.ts";
import { runCommand, startCommand } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

/** A container's root may often not. */
const CAN_MOUNT = spawnSync("unshare", ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;

/** Of a part that waits for a frozen database: the look ends first, or what it waits for. */
const HANGS = /^(?:does not answer in time|it cannot be written|the store cannot be read)$/;

const clientOf = (address: string) => new DirectoryClient({ address: parseDirectoryAddress(address), suite, random });

test.concurrent("without its database a directory does not start, and says that it is the database", async ({
  expect,
}) => {
  await using home = await temporaryFolder();
  await using postgres = await Postgres.start();
  await postgres.kill();
  const words = ["run", "--data", join(home.path, "np"), "--listen", "127.0.0.1:0", "--store", postgres.url];
  const exit = await runCommand("sshnp-directory", words, { env: { HOME: home.path } });
  expect(exit).toMatchObject({ code: 74, stdout: "" });
  expect(exit.stderr).toContain(`The database at 127.0.0.1:${postgres.port}/sshnp cannot be used`);
  expect(exit.stderr).toContain("Check that it runs");
  expect(exit.stderr).not.toContain("folder");
}, 60_000);

test.concurrent("a database that hangs is told to those who ask, keeps no directory from its end, and serves again when it goes on", async ({
  expect,
}) => {
  await using home = await temporaryFolder();
  await using postgres = await Postgres.start();
  const options = { env: { HOME: home.path } };
  const data = join(home.path, "np");
  const words = ["run", "--data", data, "--listen", "127.0.0.1:0", "--store", postgres.url];
  await using directory = startCommand("sshnp-directory", [...words, "--metrics", "127.0.0.1:0"], options);
  const [address = ""] = await directory.line(/^http:.*$/);
  const metrics = await MetricsPort.of(directory);
  const added = await runCommand("sshnp-directory", ["name", "add", "@client", "--data", data], options);
  const person = newPerson(parseName("@client"), parseMember("laptop"), "client");
  postgres.freeze();
  const asked = activate(clientOf(address), person, parseCramSecret(added.stdout));
  await expect(asked).rejects.toMatchObject({ code: "E_STORAGE" });
  const withoutStore = {
    http: 503,
    status: "not ready",
    store: expect.stringMatching(HANGS),
    log: expect.stringMatching(HANGS),
  };
  await expect.poll(() => metrics.ready(), { timeout: 20_000 }).toMatchObject(withoutStore);
  postgres.thaw();
  const tried = () =>
    activate(clientOf(address), person, parseCramSecret(added.stdout)).then(
      ({ type }) => type,
      (error: { readonly code: string }) => error.code,
    );
  await expect.poll(tried, { timeout: 30_000 }).toBe("logged");
  await expect.poll(() => metrics.ready(), { timeout: 20_000 }).toMatchObject({ http: 200, store: "ok", log: "ok" });
  postgres.freeze();
  const unanswered = clientOf(address)
    .request(person.x25519, { type: 1, body: new Uint8Array(0) }, { signal: patience() })
    .catch(() => "failed");
  const late = runCommand("sshnp-directory", words, { ...options, timeoutMs: 30_000 });
  expect(await directory.kill("SIGTERM", { timeoutMs: 30_000 })).toMatchObject({ code: 0 });
  await unanswered;
  expect(directory.stderr).toContain('"code":"E_STORAGE"');
  expect(directory.stderr).not.toMatch(/"level":50|"stack"/); // it is an outage, and no fault of the directory's
  expect(await late).toMatchObject({ code: 74 });
  postgres.thaw();
}, 120_000);

test.runIf(CAN_MOUNT).concurrent(
  "on a full disk of the database nothing acknowledged is lost, who asks is told, and it serves again once there is room",
  async ({ expect }) => {
    await using home = await temporaryFolder();
    await using postgres = await Postgres.start();
    await postgres.kill();
    await postgres.resumeOnDisk("128m");
    const options = { env: { HOME: home.path } };
    const data = join(home.path, "np");
    const words = ["run", "--data", data, "--listen", "127.0.0.1:0", "--store", postgres.url];
    await using directory = startCommand("sshnp-directory", words, options);
    const [address = ""] = await directory.line(/^http:.*$/);
    const acknowledged: Person[] = [];
    let count = 0;
    const another = async (): Promise<string> => {
      const name = parseName(`@n${(count += 1)}`);
      const added = await runCommand("sshnp-directory", ["name", "add", name, "--data", data], options);
      if (added.code !== 0) return added.stderr;
      const person = newPerson(name, parseMember("m"), "client");
      const end = await activate(clientOf(address), person, parseCramSecret(added.stdout)).then(
        ({ type }) => type,
        (error: { readonly code: string }) => error.code,
      );
      if (end === "logged") acknowledged.push(person);
      return end;
    };
    expect(await another()).toBe("logged");
    const filler = join(postgres.disk, "filler");
    await writeFile(filler, new Uint8Array(128 * 1024 * 1024)).catch(() => {});
    await expect.poll(another, { timeout: 60_000, interval: 0 }).toMatch(/E_STORAGE/);
    await rm(filler);
    await expect.poll(another, { timeout: 30_000 }).toBe("logged");
    expect(acknowledged.length).toBeGreaterThan(1);
    await using beside = await World.beside({ data: await PrivateFolder.openOrCreate(data), url: postgres.url });
    await demandAll(beside, acknowledged);
    expect(await directory.kill("SIGTERM")).toMatchObject({ code: 0 });
  },
  120_000,
);
