import { expect } from "vitest";
import { type Person, suite, type World } from "./world.ts";

/** That activations which were acknowledged are in the log, whose proofs are checked, and in the store. */
export async function demandAll(world: World, people: readonly Person[]): Promise<void> {
  const { statementLog } = world.directory;
  for (const { name, statement } of people) {
    const proof = await statementLog.proof([name], 0);
    const hash = suite.sha256(new TextEncoder().encode(statement.text));
    expect(statementLog.proves(proof, [name], [hash]), name).toBe(true);
    expect((await world.store.name(name))?.statements).toHaveLength(1);
  }
}
