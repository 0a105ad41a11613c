import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, expect, test, vi } from "vitest";
import { DirectoryClient, putStatements } from "../../directory/client.ts";
import { enrol } from "../../keys/cli/enrolment.ts";
import { OwnerWork } from "../../keys/cli/owner-work.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { writeMemberFile } from "../../keys/end-key-files.ts";
import { writeApplicant } from "../../keys/enrolment-files.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { cosign, printWitness } from "../../protocol/log/cosignature.ts";
import { patience, random, suite, TestClock, World } from "../directory/world.ts";
import { rebinding } from "../support/later-statements.ts";
import { verifyBinding } from "../../protocol/statements.ts";

const DAY = 24 * 60 * 60_000;
const E_WITNESS = { name: "SecurityError", code: "E_WITNESS" };

afterEach(() => vi.unstubAllEnvs());

/**
 * A directory whose clock is off by so many ms, and so is the witness's that cosigns all that it makes, with a member of it on
 * this machine, which demands that witness.
 */
async function scene(off: number) {
  const world = await World.start({ clock: new TestClock(off) });
  const key = Ed25519PrivateKey.generate(suite, random);
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const checkpoint = (await text(request)).split("\n\n").slice(1).join("\n\n");
    response.end(cosign(suite, key, "w", checkpoint, Math.floor((Date.now() + off) / 1000)));
  };
  const server = createServer((request, response) => void answer(request, response)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const verifierKey = printWitness(suite, { name: "w", publicKey: key.publicKey });
  await world.administration.addWitness("w", {
    ...{ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, verifierKey },
  });
  await expect.poll(() => world.directory.statementLog.checkpoint.text).toContain("— w ");
  vi.stubEnv("SSHNP_WITNESSES", `1:${verifierKey}`);

  const person = await world.activated("@acme", "laptop", "client");
  const path = join(world.folder.path, "keys");
  const folder = await PrivateFolder.openOrCreate(path);
  const { name, member, role, x25519, ed25519, owner, statement, binding } = person;
  const keys = { name, member, role, x25519, ed25519, directory: world.address.text };
  const work = async (): Promise<OwnerWork> => {
    const statements = [statement, binding];
    await writeMemberFile(folder, { ...keys, owner: ed25519Line(owner.publicKey), statements });
    return await OwnerWork.open(name, { keys: path });
  };
  return {
    ...{ world, person, work },
    enrol: async () => {
      await writeApplicant(folder, keys);
      const connect = (address = world.address, log?: ConstructorParameters<typeof DirectoryClient>[0]["log"]) =>
        new DirectoryClient({ address, suite, random, log });
      return await enrol(
        { suite, random, connect },
        {
          ...{ name, member, role, secret: undefined, path, isWaiting: false, owner: undefined },
          directory: parseDirectoryAddress(world.address.text),
        },
        { onPending: () => {}, signal: patience() },
      );
    },
    [Symbol.asyncDispose]: async () => {
      await world[Symbol.asyncDispose]();
      server.closeAllConnections();
      server.close();
    },
  };
}

type Scene = Awaited<ReturnType<typeof scene>>;
const COMMANDS: Record<string, (scene: Scene) => Promise<unknown>> = {
  "what stands about a name is read": async ({ work }) => (await work()).account(),
  "a statement is made": async ({ person: { owner, binding, x25519 }, work }) => {
    const { directory, signal } = await work();
    const before = verifyBinding(suite, binding, ed25519Line(owner.publicKey)).statement;
    await putStatements(directory, x25519, [rebinding(owner, before, binding)], { signal });
  },
  "a machine becomes a member": (of) => of.enrol(),
};

test.each(Object.keys(COMMANDS))(
  "a directory that says the time of its last cosignature is refused: %s",
  async (which) => {
    await using frozen = await scene(-90 * DAY);
    await expect(COMMANDS[which]?.(frozen)).rejects.toMatchObject(E_WITNESS);
  },
);

test.each(Object.keys(COMMANDS))("with a cosignature of today all is well: %s", async (which) => {
  await using honest = await scene(0);
  await COMMANDS[which]?.(honest);
});
