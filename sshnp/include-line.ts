/*
 * The one thing that is written into a file of the user's: an Include line at the top, where nothing stands ahead of it and
 * no Host or Match takes it in, below a comment by which it is found again. Texts are latin1, a character for each byte, so
 * that what is the user's stays as it is.
 */

/** `text`: the file as it is, undefined when there is none. `path`: as Include has it. */
export function withInclude(text: string | undefined, path: string): string {
  if (text === undefined) return `${MADE}\nInclude ${path}\n`;
  const isMade = text.startsWith(MADE);
  return `${isMade ? MADE : ADDED}\nInclude ${path}\n${withoutLines(text)}`;
}

/** The file as it was; undefined when there was none, and nothing else was added to it. */
export function withoutInclude(text: string): string | undefined {
  const rest = withoutLines(text);
  return rest === "" && text.startsWith(MADE) ? undefined : rest;
}

/** Whether our line is there. */
export function hasInclude(text: string): boolean {
  return withoutLines(text) !== text;
}

const ADDED = "# sshnp ssh-config --uninstall takes away this line and the next";
const MADE = "# sshnp ssh-config --uninstall takes away this line, the next, and the file if that is all";

function withoutLines(text: string): string {
  return text.replace(/^# sshnp ssh-config --uninstall takes away [^\n]*\n(?:Include [^\n]*\n)?/gm, "");
}
