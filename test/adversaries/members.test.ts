/** Members who ask for more than they may, and a thief of the device's key whom the directory helps: sshnpd is the real one. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { listKeyFiles, readMemberFile } from "../../keys/end-key-files.ts";
import { SshnpError } from "../../keys/errors.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { random, suite } from "../directory/world.ts";
import type { RunningProcess } from "../support/processes.ts";
import type { Machine } from "../support/stack.ts";
import { ask, type Asked, type Party, pretending } from "./asking.ts";
import { ForgingDirectory } from "./forging-directory.ts";
import { type Outcome, runRows } from "./run.ts";

let forger: ForgingDirectory;
let daemon: RunningProcess;
let client: Party;
let device: Party;
let clientKey: X25519PrivateKey;
let deviceKey: X25519PrivateKey;
beforeAll(async () => {
  forger = await ForgingDirectory.start();
  daemon = await forger.startDaemon(forger.device);
  client = await partyOf("@client");
  device = await partyOf("@device");
  clientKey = await keyOf(forger.client, client);
  deviceKey = await keyOf(forger.device, device);
});
afterAll(() => forger?.[Symbol.asyncDispose]());

runRows(import.meta.filename, {
  "a listed client asks for another service": async () => await answered({ service: "tcp:169.254.169.254:80" }),
  "a client asks with the id of a session that is another's": async () => {
    const first = await ask(forger.world, client, device, { key: clientKey });
    expect(first.last?.type).toBe("answer");
    return await answered({ sid: first.initiator.sid, login: "root" });
  },
  "a client asks in the name of another, with its own key": async () => {
    const eve = await forger.world.activated("@eve", "laptop", "client");
    return await answered({ key: eve.x25519 });
  },
  "a client that nobody lists asks": async () => {
    const { name, member, x25519 } = await forger.world.activated("@mallory", "laptop", "client");
    const record = await forger.world.store.member({ name, member });
    if (record === undefined) throw new Error("there is no such member");
    return outcomeOf(await ask(forger.world, { name, member, record }, device, { key: x25519 }));
  },
  "a client asks for a device of another name as one of this": async () => {
    const member = parseMember("elsewhere");
    return await answered({}, { ...device, member });
  },
  "the thief of a device's key asks it in an administrator's name, and the directory lets him": async () => {
    const before = pinsOf(forger.device);
    const thief = X25519PrivateKey.generate(suite, random);
    const { store } = forger.world;
    const honest = store.member.bind(store);
    forger.forge(store, "member", async (party) => {
      const record = await honest(party);
      return party.name === client.name && record !== undefined ? { ...record, x25519: thief.publicKey } : record;
    });
    const holder = store.keyHolder.bind(store);
    forger.forge(store, "keyHolder", async (key) =>
      key.toJSON() === thief.publicKey.toJSON() ? `${client.name}/${client.member}` : await holder(key),
    );
    const { by, key } = pretending(deviceKey, client.record.x25519);
    const granted = daemon.stderr.split("request granted").length;
    const confirmed = daemon.stderr.split("session confirmed").length;
    const asked = await ask(forger.world, client, device, { key, by, sender: thief });
    forger.beHonest();
    expect(asked.last?.type).toBe("answer"); // the device cannot tell yet
    await daemon.errorLine(new RegExp(`"sid":"[0-9a-f]+".*"request granted"`));
    expect(daemon.stderr.split("request granted").length).toBe(granted + 1);
    const outcome = outcomeOf(asked);
    expect(daemon.stderr.split("session confirmed").length).toBe(confirmed);
    expect(pinsOf(forger.device)).toEqual(before);
    return outcome;
  },
});

/** What becomes of a request by @client with something in it that is not as it should be. */
async function answered(words: Partial<Parameters<typeof ask>[3]>, asked = device): Promise<Outcome> {
  const key = words.key ?? clientKey;
  return outcomeOf(await ask(forger.world, client, asked, { ...words, key }));
}

/** The code of whoever refused: the directory, the device for all to see, or the device to the client alone. */
function outcomeOf({ initiator, last, frames }: Asked): Outcome {
  if (last?.type === "refused" || last?.type === "deviceCode") return { code: last.code };
  const ticket = frames.find((frame) => frame.type === "ticket");
  if (last?.type !== "answer" || ticket?.type !== "ticket") return { code: undefined };
  try {
    return { code: initiator.readMessage2(last.message2, ticket.ticket).payload.refusal?.code };
  } catch (error) {
    if (error instanceof SshnpError) return { code: error.code };
    throw error;
  }
}

async function partyOf(name: string): Promise<Party> {
  const [record] = await forger.world.store.members(parseName(name));
  if (record === undefined) throw new Error(`${name} has no member`);
  return { name: record.name, member: record.member, record };
}

async function keyOf({ keys }: Machine, { name }: Party): Promise<X25519PrivateKey> {
  const folder = (await PrivateFolder.open(keys)) ?? expect.fail();
  const entry = (await listKeyFiles(folder, name)).find(({ kind }) => kind === "member");
  if (entry?.kind !== "member") throw new Error("no key file");
  const file = await readMemberFile(suite, folder, entry, () => Promise.reject(new Error("no passphrase")));
  return (file ?? expect.fail()).x25519;
}

/** What a device remembers of others. */
function pinsOf({ keys }: Machine): Record<string, string> {
  const state = join(keys, "state");
  const files = existsSync(state) ? readdirSync(state).filter((file) => file.startsWith("peer")) : [];
  return Object.fromEntries(files.map((file) => [file, readFileSync(join(state, file), "utf8")]));
}
