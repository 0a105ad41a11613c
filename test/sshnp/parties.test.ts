import { join } from "node:path";
import { expect, test } from "vitest";
import { LogFollower } from "../../directory/client.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { writeMemberFile } from "../../keys/end-key-files.ts";
import { writeApplicant } from "../../keys/enrolment-files.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { OWNER_CHAIN } from "../../protocol/limits.ts";
import { bindingSubject } from "../../protocol/statements.ts";
import { type Client, loadClient } from "../../sshnp/client-keys.ts";
import { Parties } from "../../sshnp/parties.ts";
import { NOW } from "../protocol/fixtures.ts";
import { clientBinding, clientOwner, keyList, ORIGIN, people, random, suite } from "../sshnpd/stage.ts";
import { rebinding, rotation } from "../support/later-statements.ts";
import { StatementLog } from "../support/statement-log.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const { client } = people;

test("a client starts again after rotations that it took one by one, however many they were", async () => {
  await using folder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  const { name, member, role, x25519, ed25519, nameStatement, binding } = client;
  await writeMemberFile(keys, {
    ...{ name, member, role, x25519, ed25519, owner: ed25519Line(client.owner.publicKey) },
    directory: `http://np.example.org:7800#${clientOwner}`,
    statements: [nameStatement, binding],
  });
  const load = (): Promise<Client> => loadClient(suite, keys.path, undefined, () => Promise.reject(new Error("none")));
  const log = new StatementLog(suite, people.directory.log, ORIGIN).add(nameStatement, binding);
  const follower = new LogFollower(suite);

  const names = [nameStatement];
  let [from, bound] = [client.owner, binding];
  for (let count = 1; count <= OWNER_CHAIN + 2; count += 1) {
    const to = Ed25519PrivateKey.generate(suite, random);
    names.push(rotation({ from, to, before: names.at(-1) ?? nameStatement }));
    [from, bound] = [to, rebinding(to, clientBinding.statement, bound)];
    log.add(...names.slice(-1), bound);
    const proof = log.prove([name, bindingSubject(client)], follower.size(keyList.list));
    const device = { pins: { owner: undefined, member: undefined }, given: undefined };
    await new Parties(suite, await load(), device, undefined).takeOwn(
      { names: names.slice(-OWNER_CHAIN), member: bound, delegation: undefined },
      follower.accept(keyList.list, proof, NOW),
    );
    expect((await load()).standing).toMatchObject({
      ...{ chain: { owner: ed25519Line(to.publicKey) }, binding: { signed: bound } },
    });
  }
});

test("a client whose enrolment waits for its owner is told so, and a device's is no matter", async () => {
  await using folder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  const { name, member, x25519, ed25519 } = client;
  const load = (): Promise<Client> => loadClient(suite, keys.path, undefined, () => Promise.reject(new Error("none")));
  for (const [role, message] of [
    ["device", /^No client keys on this machine/],
    ["client", /waits for its owner \(code (?:[0-9a-z]{4}-){3}[0-9a-z]{4}\)\.$/],
  ] as const) {
    await writeApplicant(keys, { name, member, role, x25519, ed25519, directory: "http://np.example.org:7800" });
    const told: unknown = await load().catch((error: unknown) => error);
    expect(told).toMatchObject({ code: "E_NO_KEYS", message: expect.stringMatching(message) as unknown });
  }
});
