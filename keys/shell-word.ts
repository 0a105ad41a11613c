/** What stands for each byte between `$'` and `'`. */
const ESCAPED = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  return /[ -&(-[\]-~]/.test(character) ? character : `\\x${byte.toString(16).padStart(2, "0")}`;
});

/**
 * One word of a shell command line, quoted only where it needs to be, so that a printed command can be pasted.
 * Control and non-ASCII characters come out escaped and reach no terminal.
 */
export function shellWord(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  if (/^[ -~]*$/.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  return `$'${Array.from(new TextEncoder().encode(text), (byte) => ESCAPED[byte]).join("")}'`;
}
