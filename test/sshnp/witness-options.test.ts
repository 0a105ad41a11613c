import { expect, test } from "vitest";
import type { WitnessOptions } from "../../directory/client.ts";
import { isWitnessOption, withWitnessOption, witnessWords } from "../../sshnp/witness-options.ts";

test("what was read of a command line is printed as words that read the same", () => {
  const options: WitnessOptions = { witness: ["a+1+x", "b+2+y"], witnesses: "2", maxCheckpointAge: "1h" };
  let read: WitnessOptions | undefined;
  const words = witnessWords(options);
  for (let i = 0; i < words.length; i += 2) {
    const name = words[i]?.slice(2) ?? "";
    if (isWitnessOption(name)) read = withWitnessOption(read, name, words[i + 1] ?? "");
  }
  expect(read).toEqual(options);
  expect(witnessWords()).toEqual([]);
});
