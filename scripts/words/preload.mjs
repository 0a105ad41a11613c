// node --import preload.mjs COMMAND ... --help: prints what the command line of COMMAND consists of, as JSON, instead of doing
// anything with it. Commander is the one place through which all of them go, so there is nothing about this in the programs.
import { writeSync } from "node:fs";
import { Command } from "commander";

const outputHelp = Reflect.get(Command.prototype, "outputHelp");

Command.prototype.parseAsync = async function () {
  tell(this);
};
Command.prototype.outputHelp = function () {
  tell(this);
};

/** @param {Command} command */
function tell(command) {
  writeSync(3, JSON.stringify(described(command, command.name())));
  process.exit(0);
}

/**
 * @param {Command} command
 * @param {string} words by which it is called
 */
function described(command, words) {
  const help = command.createHelp();
  const subcommands = help.visibleCommands(command).filter((subcommand) => command.commands.includes(subcommand));
  return {
    words,
    summary: command.summary() || command.description(),
    description: command.description(),
    usage: command.usage(),
    options: help.visibleOptions(command).map(describedOption),
    arguments: command.registeredArguments.map(({ required, variadic, description, argChoices, ...argument }) => {
      return { name: argument.name?.() ?? argument._name, required, variadic, description, choices: argChoices ?? [] };
    }),
    after: textAfter(command),
    commands: subcommands.map((subcommand) => described(subcommand, `${words} ${subcommand.name()}`)),
  };
}

function describedOption(option) {
  return {
    flags: option.flags,
    names: [option.short, option.long].filter((name) => name !== undefined),
    argument: /[<[](.*)[>\]]/.exec(option.flags)?.[1],
    takesWord: option.required === true,
    description: option.description,
    choices: option.argChoices ?? [],
  };
}

/** What addHelpText has put behind the help. */
function textAfter(command) {
  let text = "";
  const before = command.configureOutput();
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => 80 });
  Reflect.apply(outputHelp, command, []);
  command.configureOutput(before);
  return text.slice(command.helpInformation().length).trim();
}
