import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { cosign, printWitness, withCosignatures } from "../../protocol/log/cosignature.ts";
import { random, suite } from "../sshnpd/stage.ts";
import { ScriptedDirectory } from "./scripted-directory.ts";

const DAY = 24 * 60 * 60_000;
const key = Ed25519PrivateKey.generate(suite, random);
const witness = [printWitness(suite, { name: "example.org/witness", publicKey: key.publicKey })];
const E_WITNESS = { name: "SecurityError", code: "E_WITNESS" };

let directory: ScriptedDirectory;
beforeEach(async () => {
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  directory = await ScriptedDirectory.start();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await directory[Symbol.asyncDispose]();
});

/** From now on the directory has what its witness said at that time. */
function cosignedAt(time: number): void {
  directory.mangled = ({ checkpoint }) => ({
    checkpoint: withCosignatures(checkpoint, [
      cosign(suite, key, "example.org/witness", checkpoint, Math.floor(time / 1000)),
    ]),
  });
}

async function connectOnce(): Promise<void> {
  const session = await directory.connect({ witness });
  for (const leg of directory.legs.splice(0)) leg.destroy();
  await session.ended;
}

test("a directory that froze its log and says the time of then makes no cosignature younger", async () => {
  const then = Date.now() - 90 * DAY;
  directory.time = () => then;
  cosignedAt(then);
  await expect(directory.connect({ witness })).rejects.toMatchObject({
    ...E_WITNESS,
    message: expect.stringMatching(/^It is 1296\d\d min since 1 of 1 witnesses cosigned/),
    next: expect.stringContaining("timedatectl"),
  });
});

test("a directory whose time is ahead is not taken for fresh by a clock that stands still", async () => {
  const now = Date.now();
  vi.spyOn(Date, "now").mockReturnValue(0);
  directory.time = () => now;
  cosignedAt(now - 90 * DAY);
  await expect(directory.connect({ witness })).rejects.toMatchObject(E_WITNESS);
});

test("what a witness has said once is remembered: no clock, here or there, is before it", async () => {
  const now = Date.now();
  cosignedAt(now);
  await connectOnce();
  vi.spyOn(Date, "now").mockReturnValue(0);
  directory.time = () => 0;
  // A ticket that has expired by then is one of the things that do not count again.
  await expect(directory.connect({ witness })).rejects.toMatchObject({ code: "E_TICKET" });
  directory.ticketTime = () => now;
  cosignedAt(now - 90 * DAY);
  await expect(directory.connect({ witness })).rejects.toMatchObject(E_WITNESS);
  cosignedAt(now - DAY / 2);
  await connectOnce();
});
