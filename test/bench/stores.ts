import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DirectoryClient } from "../../directory/client.ts";
import { activationKey } from "../../keys/activation-key.ts";
import { fromHex } from "../../keys/bytes.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { Secret } from "../../keys/secret.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { RENDEZVOUS_ACTIVATION } from "../../protocol/messages/activation.ts";
import {
  activate,
  activateRendezvous,
  newPerson,
  newRendezvous,
  openDeviceLink,
  type Person,
  random,
  report,
  sessionMessage,
  suite,
} from "../directory/world.ts";
import { addName, addRendezvous } from "../support/one-time-secrets.ts";
import { databaseIn, Postgres } from "../support/postgres.ts";
import { type RunningProcess, startCommand } from "../support/processes.ts";
import type { Bench } from "./bench.ts";
import { cpuSecondsOf } from "./proc.ts";
import { percentile } from "./table.ts";

const PEOPLE = 40; // clients and devices: no name comes near its own limits
const AT_ONCE = 16;
const WARM_UP = 200;

interface Directory {
  readonly process: RunningProcess;
  readonly data: string;
  readonly client: DirectoryClient;
}

interface Measured {
  readonly perSecond: number;
  readonly p99: number;
  readonly cpuPerThousand: number;
}

/**
 * Requests for sessions through a real directory, from the sealed request to the device's answer, with rendezvous that nobody dials:
 * on LevelDB, on PostgreSQL, and through two directories on that, where each request is for a device of the other.
 */
export async function stores(bench: Bench): Promise<void> {
  await using postgres = await Postgres.start();
  const url = await databaseIn(postgres.serverUrl);
  const keys = join(bench.folder, "postgres-1");
  const start = (name: string, ...words: string[]) => startDirectory(join(bench.folder, name), words);
  const level = await measure(bench, [await start("level")]);
  const one = await start("postgres-1", "--store", url);
  const single = await measure(bench, [one]);
  const two = await start("postgres-2", "--store", url, "--keys", keys);
  const both = await measure(bench, [one, two]);
  await Promise.all([one, two].map(({ process }) => process.stop()));

  const higher = { unit: "1/s", better: "higher" } as const;
  const lower = { better: "lower" } as const;
  const onLevel = (value: number) => [{ name: "on LevelDB", value }];
  const note = `${AT_ONCE} at once; who asks, the devices and PostgreSQL share this machine's cores`;
  bench.row({
    ...{ ...higher, name: "session requests, one directory on PostgreSQL", ours: single.perSecond, note },
    ...{ peers: onLevel(level.perSecond), target: { timesPeer: 0.7 } },
  });
  bench.row({
    ...{ ...higher, name: "session requests, two directories on PostgreSQL", ours: both.perSecond },
    ...{ peers: [{ name: "one", value: single.perSecond }], target: { timesPeer: 1.6 } },
    note: "each request is at one for a device of the other, the dearest case; the target is for where cores allow it",
  });
  bench.row({
    ...{ ...lower, unit: "ms", name: "the same, p99, one on PostgreSQL", ours: single.p99 },
    peers: onLevel(level.p99),
  });
  bench.row({
    ...{ ...lower, unit: "s", name: "directory's CPU for 1,000, one on PostgreSQL", ours: single.cpuPerThousand },
    peers: [...onLevel(level.cpuPerThousand), { name: "two directories, both", value: both.cpuPerThousand }],
  });
}

async function startDirectory(data: string, words: readonly string[]): Promise<Directory> {
  await mkdir(data, { recursive: true, mode: 0o700 });
  const all = ["run", "--data", data, "--listen", "127.0.0.1:0", ...words];
  const process = startCommand("sshnp-directory", all, { env: { HOME: data } });
  const [address] = await process.line(/^http:\S+$/);
  return { process, data, client: new DirectoryClient({ address: parseDirectoryAddress(address), suite, random }) };
}

/** Clients ask at the first directory; devices have their links to the last. */
async function measure({ seconds, signal }: Bench, directories: readonly Directory[]): Promise<Measured> {
  const [asked, linked] = [directories[0], directories.at(-1)];
  if (asked === undefined || linked === undefined) throw new Error("no directory");
  const tag = directories.length;
  const person = async (kind: "client" | "device", i: number): Promise<Person> => {
    const name = parseName(`@${kind}${tag}-${i}`);
    const made = newPerson(name, parseMember("m"), kind);
    await activate(asked.client, made, Secret.fromBytes(fromHex(await addName(asked.data, name), 32)));
    return made;
  };
  const key = activationKey(
    suite,
    Secret.fromBytes(fromHex(await addRendezvous(asked.data, `rz${tag}`), 32)),
    RENDEZVOUS_ACTIVATION,
  );
  const rendezvous = newRendezvous(["tcp://127.0.0.1:7801"]);
  await activateRendezvous(asked.client, rendezvous, key);
  await report(asked.client, rendezvous);
  const pairs: (readonly [Person, Person])[] = [];
  for (let i = 0; i < PEOPLE; i++) pairs.push([await person("client", i), await person("device", i)]);
  const links = await Promise.all(pairs.map(([, device]) => openDeviceLink(linked.client, device, [], signal)));
  const answering = links.map(async (link) => {
    for await (const event of link.events) {
      if (event.type === "notify") link.answer({ sid: event.notify.prologue.sid, message2: random(1200) });
    }
  });
  const times: number[] = [];
  const ask = async (i: number): Promise<void> => {
    const [client, device] = pairs[i % PEOPLE] ?? unreachable();
    const begin = performance.now();
    for await (const frame of asked.client.send(client.x25519, sessionMessage(client, device), { signal })) {
      if (frame.type === "refused") throw new Error(frame.code);
    }
    times.push(performance.now() - begin);
  };
  const rounds = async (isOver: () => boolean): Promise<void> => {
    let next = 0;
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (!isOver()) await ask(next++);
      }),
    );
  };
  await rounds(() => times.length >= WARM_UP);
  times.length = 0;
  const cpu = (): number => directories.reduce((sum, { process: { pid } }) => sum + cpuSecondsOf(pid), 0);
  const [begin, cpuBefore] = [performance.now(), cpu()];
  await rounds(() => performance.now() - begin > seconds * 1000);
  const [elapsed, used] = [(performance.now() - begin) / 1000, cpu() - cpuBefore];
  for (const link of links) link.close();
  await Promise.allSettled(answering);
  if (directories.length === 1 && !directories[0]?.data.includes("postgres")) await directories[0]?.process.stop();
  return {
    perSecond: times.length / elapsed,
    p99: percentile(times, 0.99),
    cpuPerThousand: (1000 * used) / times.length,
  };
}

function unreachable(): never {
  throw new Error("there are pairs");
}
