/** What is done, for a person: on stderr, so that stdout has the data and nothing else. */
export function say(text: string): void {
  process.stderr.write(`sshnp: ${text}\n`);
}
