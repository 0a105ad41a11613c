// What the built commands say of their own command lines.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/**
 * @typedef {{ flags: string, names: string[], argument?: string, takesWord: boolean, description: string, choices: string[] }} Option
 * @typedef {{ name: string, required: boolean, variadic: boolean, description: string, choices: string[] }} Argument
 * @typedef {{ words: string, summary: string, description: string, usage: string, options: Option[], arguments: Argument[],
 *   after: string, commands: Description[] }} Description
 */

/**
 * The five commands, in the order of package.json; below sshnp, its verbs.
 * @param {string} root where dist/ is
 * @param {Record<string, string>} bin of package.json
 * @returns {Promise<Description[]>}
 */
export async function describeCommands(root, bin) {
  const main = (name) => join(root, bin[name] ?? "");
  // The daemon's bundle has a commander of its own.
  const daemon = (file, expression) => {
    const url = JSON.stringify(pathToFileURL(join(root, "dist/sshnpd", file)));
    return ["--input-type=module", "--eval", `import * as it from ${url}; await it.${expression}.parseAsync();`];
  };
  const described = await Promise.all(
    Object.keys(bin).map((name) =>
      name === "sshnpd" ? ask(daemon("cli.js", "command(() => {})")) : ask([main(name), "--help"]),
    ),
  );
  const sshnpd = described.find(({ words }) => words === "sshnpd");
  const check = await ask(daemon("cli.js", "checkCommand(() => {})"));
  const authority = await ask(daemon("cli/ssh-ca.js", "sshCaCommand()"));
  sshnpd.commands.push({ ...check, words: "sshnpd check" }, ...authority.commands);
  const sshnp = described.find(({ words }) => words === "sshnp");
  const help = await ask([main("sshnp"), "help"]);
  const verbs = help.arguments[0]?.choices ?? [];
  const asked = await Promise.all(verbs.map((verb) => ask([main("sshnp"), verb, "--help"])));
  sshnp.commands.push(...asked.filter((verb) => verb !== undefined));
  return described.filter((command) => command !== undefined);
}

/** @returns {Promise<Description | undefined>} undefined for one whose words commander has no part in */
async function ask(words) {
  const preload = pathToFileURL(join(import.meta.dirname, "preload.mjs")).href;
  const env = { PATH: process.env.PATH, HOME: "/nonexistent", SSHNP_SYSTEM_CONFIG: "/nonexistent" };
  const child = spawn(process.execPath, [`--import=${preload}`, ...words], {
    env,
    stdio: ["ignore", "ignore", "inherit", "pipe"],
  });
  let text = "";
  for await (const part of child.stdio[3].setEncoding("utf8")) text += part;
  if (text !== "") return JSON.parse(text);
  process.stderr.write(`No man page and no completion: ${words.join(" ")} does not describe its command line.\n`);
  return undefined;
}
