import { SetupError } from "../../keys/errors.ts";

/**
 * The words of a command, as a shell reads quotes: `'...'` is literal, in `"..."` a backslash stands ahead of `"`, `\`, `$` and
 * backtick, and ahead of anything where nothing is quoted. No shell runs it: what only a shell could do is refused.
 * @throws {SetupError} E_USAGE.
 */
export function parseCommandWords(text: string): readonly [string, ...string[]] {
  const words: string[] = [];
  let at = 0;
  while (at < text.length) {
    if (/\s/.test(text[at] ?? "")) {
      at++;
      continue;
    }
    let word = "";
    while (at < text.length && !/\s/.test(text[at] ?? "")) {
      const [whole, escaped, single, double, plain] = PIECE.exec(text.slice(at)) ?? [];
      if (whole === undefined) throw notUnderstood(text[at] ?? "");
      word += escaped ?? single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? plain ?? "";
      at += whole.length;
    }
    words.push(word);
  }
  const [program, ...rest] = words;
  if (program === undefined || program === "") {
    throw new SetupError("E_USAGE", "--exec names no command.", { next: `Such as: --exec 'psql -p {port}'` });
  }
  return [program, ...rest];
}

/** The words with `{port}` replaced by the first of `ports`, `{port2}` by the second, and so on. @throws {SetupError} E_USAGE. */
export function withPorts(
  [program, ...rest]: readonly [string, ...string[]],
  ports: readonly number[],
): readonly [string, ...string[]] {
  const fill = (word: string): string =>
    word.replace(/\{port([1-9][0-9]{0,2})?\}/g, (name: string, number: string | undefined) => {
      const port = ports[Number(number ?? 1) - 1];
      if (port !== undefined) return String(port);
      throw new SetupError("E_USAGE", `--exec names ${name}, and there are ${ports.length} ports.`, {
        next: "{port} is the first one, {port2} the second; a Unix socket has none.",
      });
    });
  return [fill(program), ...rest.map(fill)];
}

/** One piece of a word: escaped, in single quotes, in double quotes, plain. */
const PIECE = /^(?:\\([^\n])|'([^']*)'|"((?:[^"\\$`]|\\[^\n])*)"|([^\s\\'"|&;<>()$`]+))/;

function notUnderstood(character: string): SetupError {
  const fact = `'"\\`.includes(character)
    ? "A quote in --exec is not closed, or holds what only a shell would read."
    : `No shell runs what --exec says, so ${JSON.stringify(character)} means nothing there.`;
  return new SetupError("E_USAGE", fact, { next: `With a shell: --exec "sh -c '...'"` });
}
