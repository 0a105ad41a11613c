// What the demo prints.
const bold = process.stdout.isTTY && !process.env.NO_COLOR ? (text) => `\u001b[1m${text}\u001b[0m` : (text) => text;

export function title(text) {
  process.stdout.write(`\n${bold(`== ${text}`)}\n`);
}

export function say(text) {
  process.stdout.write(`${text.replace(/\n+$/, "")}\n`);
}

/** @param {unknown} error @param {string} logs of the processes that took part */
export function fail(error, logs) {
  process.stderr.write(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}\n${logs}`);
}
