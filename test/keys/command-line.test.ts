import { Command } from "commander";
import { expect, test } from "vitest";
import { addAddressCommand } from "../../directory/cli/address.ts";
import { addAuditCommands } from "../../directory/cli/audit.ts";
import { addNameCommands } from "../../directory/cli/names.ts";
import { addRendezvousCommands } from "../../directory/cli/rendezvous.ts";
import { addRunCommand } from "../../directory/cli/run.ts";
import { addTransferCommands } from "../../directory/cli/transfer.ts";
import { addWitnessCommands } from "../../directory/cli/witness.ts";
import { tellUsageErrorsAsOurs } from "../../keys/command-line.ts";
import { checkCommand, command as daemonCommand } from "../../sshnpd/cli.ts";

const never = (): Promise<never> => Promise.reject(new Error("it was run"));

function directory(): Command {
  const program = new Command("sshnp-directory");
  addRunCommand(program);
  addNameCommands(program);
  addRendezvousCommands(program);
  addTransferCommands(program);
  addWitnessCommands(program);
  addAuditCommands(program);
  addAddressCommand(program);
  return program;
}

/** The words of all commands below this one that do something. */
function leaves({ commands }: Command): string[][] {
  return commands.flatMap((one) =>
    one.commands.length === 0 ? [[one.name()]] : leaves(one).map((words) => [one.name(), ...words]),
  );
}

const cases = [
  ...leaves(directory()).map((words) => [words, directory] as const),
  ...([() => daemonCommand(never), () => checkCommand(never)] as const).map((make) => [[], make] as const),
];

test.each(cases)("%j names an option that it does not know ahead of those that it lacks", async (words, make) => {
  const failed = async (...more: string[]): Promise<unknown> => {
    const program = make();
    tellUsageErrorsAsOurs(program);
    return await program.parseAsync([...words, ...more], { from: "user" }).then(
      () => undefined,
      (error: unknown) => error,
    );
  };
  for (const more of [["--no-such"], ["--no-such", "np"], ["--no-such=SECRET"], ["word", "--no-such", "np"]]) {
    const error = { code: "E_USAGE", message: expect.stringMatching(/^Unknown option '--no-such'/) };
    expect(await failed(...more)).toMatchObject(error);
  }
  expect(await failed("--no-such=SECRET")).toMatchObject({ message: expect.not.stringContaining("SECRET") });
});

test("what was probably meant is said, and what is missing where nothing is unknown", async () => {
  const found = async (...words: string[]): Promise<unknown> => {
    const program = directory();
    tellUsageErrorsAsOurs(program);
    return await program.parseAsync(words, { from: "user" }).catch((error: unknown) => error);
  };
  expect(await found("run", "--dta", "np")).toMatchObject({
    message: "Unknown option '--dta' (Did you mean --data?).",
    next: "See: sshnp-directory run --help",
  });
  expect(await found("run", "--listen", "127.0.0.1:0")).toMatchObject({
    message: "Required option '--data <folder>' not specified.",
  });
  expect(await found("name", "add", "@acme")).toMatchObject({ message: expect.stringContaining("'--data <folder>'") });
});
