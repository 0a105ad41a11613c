import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { DirectoryClient } from "../../directory/client.ts";
import { writeMemberFile } from "../../keys/end-key-files.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { Secret } from "../../keys/secret.ts";
import { DEVICE_ANSWER_MS, UNPAIRED_LEG_MS } from "../../protocol/limits.ts";
import { encodeLogProof } from "../../protocol/log/proof.ts";
import { bindingSubject } from "../../protocol/statements.ts";
import { connect } from "../../sshnp/connect.ts";
import { Progress } from "../../sshnp/progress.ts";
import { TestLink } from "../directory/streams.ts";
import { patience, type Person, TestClock, World } from "../directory/world.ts";
import { runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

/** Where the directory's ticket leads to. */
let rendezvous: Server;
const legs: Socket[] = [];
beforeEach(async () => {
  rendezvous = createServer((leg) => legs.push(leg.on("error", () => {}).resume())).listen(0, "127.0.0.1");
  await once(rendezvous, "listening");
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  for (const leg of legs.splice(0)) leg.destroy();
  rendezvous.close();
});

test("a rendezvous at a private address is dialled for a directory that is at one itself", async () => {
  await using stage = await setStage();
  const connecting = stage.connect();
  const asked = await stage.link.notified();
  await expect.poll(() => legs.length).toBe(1);
  stage.link.link.answer({ sid: asked.prologue.sid, code: "E_BUSY", labels: [] });
  await expect(connecting).rejects.toMatchObject({ code: "E_BUSY" });
});

test.each(["198.51.100.7", "2001:db8::7", undefined])(
  "a rendezvous cannot send a client into its own network when the directory is at %s",
  async (address) => {
    await using stage = await setStage();
    vi.spyOn(DirectoryClient.prototype, "remoteAddress", "get").mockReturnValue(address);
    const connecting = stage.connect();
    connecting.catch(() => {});
    const asked = await stage.link.notified();
    stage.link.link.answer({ sid: asked.prologue.sid, code: "E_BUSY", labels: [] });
    await expect(connecting).rejects.toMatchObject({ code: "E_BUSY" });
    expect(legs).toEqual([]);
  },
);

test("the leg of an attempt that is made anew is given up first", async () => {
  await using stage = await setStage();
  const send = Reflect.get<DirectoryClient, "send">(DirectoryClient.prototype, "send");
  let posts = 0;
  // What no honest directory does: statements to ask anew with, after a ticket.
  vi.spyOn(DirectoryClient.prototype, "send").mockImplementation(async function* (this: DirectoryClient, ...args) {
    const isFirst = ++posts === 2; // after the look-up
    for await (const frame of send.apply(this, args)) {
      yield frame;
      if (!isFirst || frame.type !== "ticket") continue;
      await expect.poll(() => legs.length).toBe(1);
      const { name, member, statement, binding } = stage.client;
      const subjects = [name, bindingSubject({ name, member })];
      const proof = encodeLogProof(await stage.world.directory.statementLog.proof(subjects, 0));
      const statements = { names: [statement], member: binding, delegation: undefined };
      yield { type: "binding", of: "client", statements, proof };
    }
  });
  const connecting = stage.connect();
  await stage.link.notified();
  const asked = await stage.link.notified();
  await expect.poll(() => legs.length).toBe(2);
  await expect.poll(() => legs[0]?.closed, { timeout: UNPAIRED_LEG_MS / 2 }).toBe(true); // not for its age
  stage.link.link.answer({ sid: asked.prologue.sid, code: "E_BUSY", labels: [] });
  await expect(connecting).rejects.toMatchObject({ code: "E_BUSY" });
});

test("a device that went away unnoticed is waited for, if that was asked for", async () => {
  const clock = new TestClock();
  await using stage = await setStage({ clock, waitSeconds: 600 });
  const connecting = stage.connect();
  const first = await stage.link.notified();
  await stage.link.close(); // it has no power any more; what it was asked stays unanswered
  clock.advance(DEVICE_ANSWER_MS + 1000);
  const back = await TestLink.open(stage.world, stage.device);
  const second = await back.notified();
  expect(second.prologue.sid).not.toEqual(first.prologue.sid);
  back.link.answer({ sid: second.prologue.sid, code: "E_BUSY", labels: [] });
  await expect(connecting).rejects.toMatchObject({ code: "E_BUSY" });
  back.link.close();
});

test("a device that went away unnoticed is offline to whoever does not wait", async () => {
  const clock = new TestClock();
  await using stage = await setStage({ clock });
  const connecting = stage.connect();
  connecting.catch(() => {});
  await stage.link.notified();
  await stage.link.close();
  clock.advance(DEVICE_ANSWER_MS + 1000);
  await expect(connecting).rejects.toMatchObject({ code: "E_OFFLINE" });
});

test("a passphrase is waited for until somebody ends it", async () => {
  await using stage = await setStage({ protection: { passphrase: Secret.fromText("correct horse") } });
  const stop = new AbortController();
  const fifo = join(stage.folder, "passphrase");
  await runProcess("mkfifo", [fifo], { env: { HOME: stage.folder } });
  vi.stubEnv("SSHNP_PASSPHRASE_FILE", fifo);
  const connecting = stage.connect(stop.signal);
  connecting.catch(() => {});
  const writer = await open(fifo, "w"); // opens when there is a reader, and says nothing
  stop.abort(new Error("enough"));
  await expect(connecting).rejects.toThrow();
  await writer.close();
});

interface Stage extends AsyncDisposable {
  readonly world: World;
  readonly client: Person;
  readonly device: Person;
  readonly folder: string;
  readonly link: TestLink;
  connect(signal?: AbortSignal): ReturnType<typeof connect>;
}

/** A directory with @client, whose keys are here, and with a device whose answers are the test's. */
async function setStage({
  protection = {},
  clock,
  waitSeconds = 0,
}: {
  readonly protection?: Parameters<typeof writeMemberFile>[2];
  readonly clock?: TestClock;
  readonly waitSeconds?: number;
} = {}): Promise<Stage> {
  const world = await World.start(clock && { clock });
  const folder = await temporaryFolder();
  const { port } = rendezvous.address() as AddressInfo;
  await world.rendezvous("rz1", [`tcp://127.0.0.1:${port}`]);
  const client = await world.activated("@client", "laptop-client", "client");
  const device = await world.activated("@device", "mygateway", "device");
  const keys = join(folder.path, "keys");
  await writeKeys(keys, client, world.address.text, protection);
  const link = await TestLink.open(world, device);
  const destination = {
    ...{ client: undefined, device, owner: undefined, login: "", directory: undefined, keys },
    ...{ waitSeconds, pushKey: undefined, verbose: false },
  };
  return {
    world,
    client,
    device,
    folder: folder.path,
    link,
    connect: (signal = patience()) =>
      connect(destination, { keys, userKey: undefined, progress: new Progress(false), signal }),
    [Symbol.asyncDispose]: async () => {
      link.link.close();
      await world[Symbol.asyncDispose]();
      await folder.remove();
    },
  };
}

async function writeKeys(
  path: string,
  person: Person,
  directory: string,
  protection: Parameters<typeof writeMemberFile>[2],
): Promise<void> {
  const { name, member, role, x25519, ed25519, owner, statement, binding } = person;
  const memberKeys = {
    ...{ name, member, role, x25519, ed25519, directory },
    owner: ed25519Line(owner.publicKey),
    statements: [statement, binding],
  };
  await writeMemberFile(await PrivateFolder.openOrCreate(path), memberKeys, protection);
}
