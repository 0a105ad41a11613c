import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { activationKey } from "../../keys/activation-key.ts";
import { type Name, parseMember, parseName } from "../../keys/names.ts";
import { Secret } from "../../keys/secret.ts";
import { DirectoryClient } from "../../directory/client.ts";
import { withAdministration } from "../../directory/cli/open-administration.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { approve, bindingOf, enrol, givePassword, giveToken, newApplicant } from "../directory/applicant.ts";
import { activate, newPerson, patience, putMessage, random, suite } from "../directory/world.ts";
import { Machine } from "../support/stack.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import type { Bench } from "./bench.ts";
import { dataOf, startDirectory } from "./directory.ts";
import { cpuSecondsOf } from "./proc.ts";

const WARM_UP = 50;
const MADE = 400; // with those ahead fewer than the one-time passwords that a name may have
const AT_ONCE = 32;

/**
 * How many names are activated and devices enrolled in a second, all of them machines with connections of their own, played
 * by this process; the directory is a process on its own core.
 */
export async function accounts(bench: Bench): Promise<void> {
  const { signal, row, log } = bench;
  await using folder = await temporaryFolder();
  const server = new Machine(join(folder.path, "server"));
  await mkdir(server.home, { mode: 0o700 });
  const directory = await startDirectory(server);
  await using process = directory.process;
  const address = parseDirectoryAddress(directory.address);
  const client = (): DirectoryClient => new DirectoryClient({ address, suite, random });

  const measure = async (name: string, note: string, make: (index: number) => Promise<unknown>): Promise<void> => {
    log(name);
    const inTurns = async (first: number, last: number): Promise<void> => {
      let next = first;
      const worker = async (): Promise<void> => {
        while (next < last) {
          signal.throwIfAborted();
          await make(next++);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
    };
    await inTurns(0, WARM_UP);
    const [begin, cpu] = [performance.now(), cpuSecondsOf(process.pid)];
    await inTurns(WARM_UP, WARM_UP + MADE);
    const elapsed = (performance.now() - begin) / 1000;
    const cost = ((cpuSecondsOf(process.pid) - cpu) * 1000) / MADE;
    const others = { better: "higher", peers: [], ours: MADE / elapsed } as const;
    row({ ...others, name: `${name}, ${AT_ONCE} at once`, unit: "1/s", note });
    row({ ...others, name: "its processor time at the directory", unit: "ms", better: "lower", ours: cost });
  };

  const names = Array.from({ length: WARM_UP + MADE }, (_, index) => parseName(`@name-${index}`));
  const secrets = await withSecrets(dataOf(server), [...names, parseName("@fleet")]);
  await measure("names activated", "two requests each; acknowledged when logged on disk", async (index) => {
    const name = names[index] ?? parseName("@nobody");
    const secret = secrets.get(name) ?? Secret.fromBytes(random(32));
    await activate(client(), newPerson(name, parseMember("first"), "client"), secret);
  });

  const owner = newPerson(parseName("@fleet"), parseMember("laptop"), "client");
  await activate(client(), owner, secrets.get(owner.name) ?? Secret.fromBytes(random(32)));
  const { key } = await giveToken(client(), owner, { uses: WARM_UP + MADE });
  await measure("devices enrolled by a fleet token", "one request each", async (index) => {
    const machine = newApplicant(owner.name, `gw-${index}`);
    await client().request(machine.x25519, putMessage(bindingOf({ owner: key }, machine)), { signal: patience() });
  });

  const approver = client();
  await measure("devices enrolled by password and approved", "four requests each", async (index) => {
    const password = await givePassword(approver, owner);
    const machine = newApplicant(owner.name, `pi-${index}`);
    await enrol(client(), machine, password);
    await approve(approver, owner, machine);
  });
}

/** Makes names with a secret each, in the directory that serves the data folder. */
async function withSecrets(data: string, names: readonly Name[]): Promise<Map<Name, Secret>> {
  const secrets = new Map<Name, Secret>();
  for (const name of names) {
    const secret = Secret.fromBytes(random(32));
    const key = activationKey(suite, secret, name).publicKey;
    await withAdministration({ data }, (administration) => administration.addName(name, key));
    secrets.set(name, secret);
  }
  return secrets;
}
