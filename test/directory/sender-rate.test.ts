import { expect, test } from "vitest";
import { encodeWithdraw } from "../../protocol/messages/session-request.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { patience, type Person, random, TestClock, World } from "./world.ts";

const AT_ONCE = 10;
/** Lower than the usual one, which takes long to use up. */
const RATE = { perSecond: 1, burst: 100 };

test("a name that sends without end has a rate for all that its members ask, and nothing is written for what is beyond it", {
  timeout: 60_000,
}, async () => {
  const clock = new TestClock();
  await using world = await World.start({ clock, senderRate: RATE });
  const directory = world.client();
  const noisy = await world.activated("@noisy", "laptop", "client");
  const other = await world.activated("@other", "laptop", "client");
  const ask = async ({ x25519 }: Person): Promise<string> => {
    const message = { type: REQUEST.withdraw, body: encodeWithdraw(random(16)) };
    const answer = directory.request(x25519, message, { signal: patience() });
    return await answer.then(
      () => "done",
      (error: unknown) => (error as { readonly code: string }).code,
    );
  };
  const idsBefore = (await world.store.remembered()).ids.length;
  const started = clock.monotonic();
  let taken = 0;
  let refused = 0;
  const sendUntilRefused = async (): Promise<void> => {
    while (refused < AT_ONCE) {
      const said = await ask(noisy);
      if (said === "done") taken += 1;
      else refused += said === "E_RATE" ? 1 : Number.NaN;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, sendUntilRefused));
  const seconds = (clock.monotonic() - started) / 1000;
  expect(taken).toBeGreaterThanOrEqual(RATE.burst);
  expect(taken).toBeLessThanOrEqual(RATE.burst + seconds * RATE.perSecond + 1);
  expect((await world.store.remembered()).ids.length - idsBefore).toBe(taken);
  expect(await ask(other)).toBe("done");
  clock.leap(1000);
  expect(await ask(noisy)).toBe("done");
});
