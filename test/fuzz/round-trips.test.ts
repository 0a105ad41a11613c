import * as fc from "fast-check";
import { describe, test } from "vitest";
import { SshnpError } from "../../keys/errors.ts";
import { mlKem768 } from "../../protocol/suite/ml-kem.ts";
import { nativeSuite } from "../../protocol/suite/native.ts";
import { nobleSuite } from "../../protocol/suite/noble.ts";
import { Random } from "./random.ts";
import { Broken, type Parser } from "./subject.ts";
import { PARSERS } from "./table.ts";

/** With the true primitives, of which some take milliseconds; the fuzzer's inputs are for breadth. */
const RUNS = 60;

// What the matching encoder makes is accepted, printed back the same, and read alike in whatever chunks it comes: each row's
// own `take` sees to the latter two. fast-check makes what fails as small as it can.
describe.each([nativeSuite, nobleSuite])("valid input, with the $name suite", { timeout: 300_000 }, (suite) => {
  test.each(PARSERS.map((parser) => [parser.name, parser] as const))("%s", async (_, parser: Parser) => {
    const subject = await parser.make({ suite, kem: mlKem768 });
    const isSlow = parser.nativeEvery !== undefined || suite === nobleSuite;
    await fc.assert(
      fc.asyncProperty(subject.samples, fc.nat(), async (input, seed) => {
        const before = input.slice();
        const accepted = await acceptedBy(() => subject.take(input, new Random(seed, parser.name, 0)), parser);
        if (Buffer.compare(before, input) !== 0) throw new Broken("the parser changes its input");
        return accepted;
      }),
      { numRuns: isSlow ? RUNS / 10 : RUNS },
    );
  });
});

async function acceptedBy(take: () => boolean | Promise<boolean>, { mayRefuseSamples }: Parser): Promise<boolean> {
  try {
    return (await take()) || mayRefuseSamples === true;
  } catch (error) {
    if (mayRefuseSamples === true && error instanceof SshnpError) return true;
    throw error;
  }
}
