import { expect, test } from "vitest";
import { readWitnessDemand, type WitnessOptions } from "../../directory/client.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { CHECKPOINT_AGE_MS } from "../../protocol/limits.ts";
import { printWitness } from "../../protocol/log/cosignature.ts";
import { suite } from "./world.ts";

const keyOf = (seed: number, name = `w${seed}`): string =>
  printWitness(suite, { name, publicKey: Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(seed)).publicKey });
const [A, B, C] = [keyOf(1), keyOf(2), keyOf(3)];

test("without a word of witnesses none is demanded", () => {
  expect(readWitnessDemand(suite)).toBeUndefined();
  expect(readWitnessDemand(suite, { witness: [] }, { SSHNP_WITNESSES: "" })).toBeUndefined();
});

test.each([
  [1, [A]],
  [2, [A, B]],
  [2, [A, B, C]],
])("unless it is said how many, %i must have cosigned of %j", (needed, witness) => {
  expect(readWitnessDemand(suite, { witness })).toMatchObject({ needed, maxAge: CHECKPOINT_AGE_MS });
});

test("the environment has them where the command line names none", () => {
  const env = { SSHNP_WITNESSES: `1:${A},${B}` };
  expect(readWitnessDemand(suite, {}, env)).toMatchObject({ needed: 1, witnesses: [{ name: "w1" }, { name: "w2" }] });
  expect(readWitnessDemand(suite, { witnesses: "2", maxCheckpointAge: "90m" }, env)).toMatchObject({
    needed: 2,
    maxAge: 90 * 60_000,
  });
  expect(readWitnessDemand(suite, { witness: [C] }, env)?.witnesses).toMatchObject([{ name: "w3" }]);
});

test.each<[string, WitnessOptions, Record<string, string>?]>([
  ["a threshold of 0", { witness: [A], witnesses: "0" }],
  ["more than there are", { witness: [A], witnesses: "2" }],
  ["one key under two names", { witness: [A, keyOf(1, "other")] }],
  ["the key of no witness", { witness: ["a+b+c"] }],
  ["a threshold without witnesses", { witnesses: "1" }],
  ["an age without witnesses", { maxCheckpointAge: "24h" }],
  ["an age that is none", { witness: [A], maxCheckpointAge: "24" }],
  ["more than a checkpoint has room for", { witness: Array.from({ length: 16 }, (_, i) => keyOf(i + 1)) }],
  ["an environment without a number", {}, { SSHNP_WITNESSES: A }],
  ["an environment with 0", {}, { SSHNP_WITNESSES: `0:${A}` }],
])("%s is a usage error", (_, options, env = {}) => {
  expect(() => readWitnessDemand(suite, options, env)).toThrow(expect.objectContaining({ code: "E_USAGE" }));
});
