import { afterEach, expect, test } from "vitest";
import { Postgres } from "../support/postgres.ts";
import { only, send } from "./streams.ts";
import { Watched } from "./watched.ts";
import { type Person, sessionMessage, World } from "./world.ts";

/* The alert SshnpConnectsFail looks at what is counted here: a failure that is not counted is one that nobody hears of.
   What is turned away unread is counted in overload.test.ts. */

afterEach(() => {
  delete process.env["SSHNP_TEST_POSTGRES"];
});

test("session requests that fail because the store is dead are counted, each once", async () => {
  await using postgres = await Postgres.start();
  process.env["SSHNP_TEST_POSTGRES"] = postgres.serverUrl;
  await using watched = await Watched.start();
  const { world } = watched;
  const [client, device] = await people(world);
  expect(await only(send(world, client, sessionMessage(client, device)))).toMatchObject({ code: "E_NEVER_SEEN" });
  expect(await watched.counted("connects", "result")).toEqual({ E_NEVER_SEEN: 1 });

  await postgres.kill();
  for (let failed = 1; failed <= 2; failed++) {
    expect(await only(send(world, client, sessionMessage(client, device)))).toMatchObject({ code: "E_STORAGE" });
    expect(await watched.counted("connects", "result")).toEqual({ E_NEVER_SEEN: 1, E_STORAGE: failed });
  }
  await postgres.resume();
}, 60_000);

test("those of a name that asks too much are counted; those of strangers are not", async () => {
  await using watched = await Watched.start({ senderRate: { perSecond: 0, burst: 1 } });
  const { world } = watched;
  const [client, device] = await people(world);
  expect(await only(send(world, client, sessionMessage(client, device)))).toMatchObject({ code: "E_NEVER_SEEN" });
  expect(await only(send(world, client, sessionMessage(client, device)))).toMatchObject({ code: "E_RATE" });
  expect(await watched.counted("connects", "result")).toEqual({ E_NEVER_SEEN: 1, E_RATE: 1 });

  await using elsewhere = await World.start();
  const [stranger] = await people(elsewhere);
  expect(await only(send(world, stranger, sessionMessage(stranger, device)))).toMatchObject({
    code: "E_NOT_AUTHORIZED",
  });
  expect(await watched.counted("connects", "result")).toEqual({ E_NEVER_SEEN: 1, E_RATE: 1 });
});

async function people(world: World): Promise<[Person, Person]> {
  return [await world.activated("@client", "laptop", "client"), await world.activated("@device", "gateway", "device")];
}
