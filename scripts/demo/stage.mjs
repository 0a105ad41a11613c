// What the demo prints.
const isBright = process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb";
const bold = paint(1);
const dim = paint(2);

export function title(text) {
  process.stdout.write(`\n${bold(text)}\n\n`);
}

export function say(text) {
  process.stdout.write(`${indented(text)}\n`);
}

/** A command line, as somebody would type it, and what came of it. */
export function typed(line, output) {
  process.stdout.write(`${indented(`${dim("$")} ${line}`)}\n${output === "" ? "" : `${indented(output)}\n`}`);
}

/** Something that is the reader's to know and not the system's to say. */
export function remark(text) {
  process.stdout.write(`${indented(dim(text))}\n`);
}

function indented(text) {
  return text.replace(/\n+$/, "").replace(/^(?=.)/gm, "  ");
}

function paint(code) {
  return isBright ? (text) => text.replace(/^.+$/gm, (line) => `\u001b[${code}m${line}\u001b[0m`) : (text) => text;
}
