import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { pino } from "pino";
import { expect, test } from "vitest";
import { SYSTEM_CLOCK } from "../../directory/clock.ts";
import { Policies } from "../../directory/policies.ts";
import { Presence } from "../../directory/presence.ts";
import { ResponseStream } from "../../directory/response-stream.ts";
import { Sessions } from "../../directory/sessions.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { LOOKS_AT_ONCE } from "../../protocol/limits.ts";
import { parseSessionRequest } from "../../protocol/messages/session-request.ts";
import { ResponseSealer } from "../../protocol/response.ts";
import { newPerson, random, sessionMessage, suite, World } from "./world.ts";

const WAITING = 5 * LOOKS_AT_ONCE + 1;

test("devices that are waited for are looked for some at a time, and others have their turns in between", async () => {
  await using world = await World.start();
  const { directory, store } = world;
  const { keyring, registry, audit, statementLog } = directory;
  /** Who was looked for. */
  const looked: string[] = [];
  const nowhere = {
    find: ({ member }: { readonly member: string }) => {
      looked.push(member);
      return Promise.resolve(undefined);
    },
  };
  const failures: unknown[] = [];
  const sessions = new Sessions({
    ...{ suite, clock: SYSTEM_CLOCK, keyring, registry, policies: new Policies({ suite, store }), audit, store },
    ...{ statementLog, presence: new Presence([nowhere]), replicas: undefined, log: pino({ level: "silent" }) },
    failed: (error) => void failures.push(error),
  });
  const client = newPerson(parseName("@client"), parseMember("laptop"), "client");
  const members = Array.from({ length: WAITING }, (_, i) => `m${i}`);
  for (const member of members) {
    const device = newPerson(parseName("@device"), parseMember(member), "device", { owner: client.owner });
    const request = parseSessionRequest(sessionMessage(client, device, { waitSeconds: 600 }).body);
    const checked = { request, sender: client.x25519.publicKey, lastSeen: undefined, found: undefined };
    sessions.request(checked, newStream());
  }
  expect([sessions.phases(), looked]).toEqual([{ waiting: WAITING, asked: 0, answered: 0 }, members]);

  looked.length = 0;
  sessions.lookForWaiting();
  const counts = [looked.length];
  while (looked.length < WAITING) {
    await turn();
    counts.push(looked.length);
  }
  expect(Math.max(...counts.map((count, i) => count - (counts[i - 1] ?? 0)))).toBe(LOOKS_AT_ONCE);
  expect(looked).toEqual(members);

  // One that comes meanwhile looks for all of them, and the one before goes no further.
  looked.length = 0;
  sessions.lookForWaiting();
  sessions.lookForWaiting();
  for (let turns = 0; turns < WAITING; turns += 1) await turn();
  expect(looked).toEqual([...members.slice(0, LOOKS_AT_ONCE), ...members]);
  expect(failures).toEqual([]);
});

/** One that nobody reads. */
function newStream(): ResponseStream {
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  const sealer = new ResponseSealer(suite, random(32), random(32));
  const welcome = { type: "welcome", time: 0, nonce: random(16), keyListSeq: 1 } as const;
  return new ResponseStream(response, sealer, SYSTEM_CLOCK, welcome);
}
