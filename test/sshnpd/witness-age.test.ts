import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { cosign, printWitness, withCosignatures } from "../../protocol/log/cosignature.ts";
import { encodeLogProof } from "../../protocol/log/proof.ts";
import type { PrivateFolder } from "../../keys/private-folder.ts";
import { LinkedDevice } from "./linked-device.ts";
import { people, random, startRequest, subjectsOf, suite } from "./stage.ts";

const { client, device } = people;
const DAY = 24 * 60 * 60_000;
const witnessKeys = ["w1", "w2"].map((name) => ({ name, key: Ed25519PrivateKey.generate(suite, random) }));
const witness = witnessKeys.map(({ name, key }) => printWitness(suite, { name, publicKey: key.publicKey }));

let linked: LinkedDevice;
beforeEach(async () => {
  linked = await start();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await linked[Symbol.asyncDispose]();
});

/** A device that demands one of two witnesses. */
async function start(keys?: PrivateFolder): Promise<LinkedDevice> {
  const made = await LinkedDevice.start({
    witnesses: { witness, witnesses: "1" },
    ...(keys === undefined ? {} : { keys }),
  });
  made.log.add(client.nameStatement, client.binding, device.nameStatement, device.binding);
  return made;
}

/** The code of its answer to a request with a proof that the first witness, or that one, cosigned then; undefined: it is let in. */
async function answerTo(time: number, by = 0): Promise<string | undefined> {
  const notify = linked.request(startRequest());
  const proof = linked.log.proof(subjectsOf(notify), linked.seen);
  const { name, key } = witnessKeys[by] ?? { name: "", key: client.owner };
  const line = cosign(suite, key, name, proof.checkpoint, Math.floor(time / 1000));
  const bytes = encodeLogProof({ ...proof, checkpoint: withCosignatures(proof.checkpoint, [line]) });
  const count = linked.answers.length;
  try {
    linked.say({ type: "notify", notify: { ...notify, proof: bytes } });
  } catch (error) {
    expect(error).toMatchObject({ name: "SecurityError", code: "E_WITNESS" });
  }
  await expect.poll(() => linked.answers.length).toBe(count + 1);
  const answer = linked.answers[count];
  return answer !== undefined && "code" in answer ? answer.code : undefined;
}

test("a directory that froze its log and says the time of then makes no cosignature younger", async () => {
  const then = Date.now() - 90 * DAY;
  linked.directory.client.noteTime(then);
  expect(await answerTo(then)).toBe("E_WITNESS");
  expect(await answerTo(Date.now() - DAY / 2)).toBeUndefined();
});

test("a clock that stands still does not, as long as the directory's goes", async () => {
  const now = Date.now();
  vi.spyOn(Date, "now").mockReturnValue(0);
  linked.directory.client.noteTime(now);
  expect(await answerTo(now - 90 * DAY)).toBe("E_WITNESS");
});

test("with both clocks back, what witnesses have said before counts: at once, and after a restart", async () => {
  const now = Date.now();
  const setBack = (): void => {
    vi.spyOn(Date, "now").mockReturnValue(0);
    linked.directory.client.noteTime(0);
  };
  setBack();
  expect(await answerTo(now)).toBeUndefined();
  expect(await answerTo(now - 90 * DAY)).toBe("E_WITNESS");
  expect(await answerTo(now - 90 * DAY, 1)).toBe("E_WITNESS");
  expect(linked.directory.now()).toBe(Math.floor(now / 1000) * 1000);

  const { keys, log } = linked;
  await using before = linked;
  await before.stop();
  linked = await start(keys);
  linked.log = log;
  setBack();
  expect(await answerTo(now - 90 * DAY)).toBe("E_WITNESS");
  expect(await answerTo(now - 90 * DAY, 1)).toBe("E_WITNESS");
  expect(await answerTo(now - DAY / 2, 1)).toBeUndefined();
  await linked.stop();
});

test("a clock that is far ahead is told of, where cosignatures seem too old", () => {
  const now = Date.now();
  vi.spyOn(Date, "now").mockReturnValue(now + 90 * DAY);
  const proof = linked.log.proof([]);
  const line = cosign(suite, witnessKeys[0]?.key ?? client.owner, "w1", proof.checkpoint, Math.floor(now / 1000));
  const bytes = encodeLogProof({ ...proof, checkpoint: withCosignatures(proof.checkpoint, [line]) });
  expect(() => linked.directory.client.acceptProof(bytes)).toThrow(
    expect.objectContaining({ code: "E_WITNESS", next: expect.stringMatching(/clock that is ahead.*timedatectl/) }),
  );
});
