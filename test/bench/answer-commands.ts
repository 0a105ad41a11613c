import { createInterface } from "node:readline";

/** Performs what a ToldProcess is told, one command after the other, until its stdin ends. What fails is answered with `{failed}`. */
export async function answerCommands(perform: (command: never) => Promise<unknown>): Promise<void> {
  for await (const words of createInterface({ input: process.stdin })) {
    const space = words.indexOf(" ");
    const answer = await perform(JSON.parse(words.slice(space)) as never).catch((error: unknown) => ({
      failed: error instanceof Error ? (error.stack ?? error.message) : String(error),
    }));
    process.stdout.write(`${words.slice(0, space)} ${JSON.stringify(answer)}\n`);
  }
}
