/**
 * QR codes (ISO/IEC 18004) on a terminal: two rows of modules in a line, as half blocks.
 *
 * Many readers want dark on light and a light border of four modules, and a terminal may be either. So every line sets
 * black on white itself, by numbers of the fixed part of the 256 colours, which themes leave alone.
 */

/** An owner key as `@name=SHA256:...`, with the longest name: it makes a code of 45 modules, 23 lines, with its border. */
const MAX_CHARACTERS = 84;
/** As much as is read as `medium` on the same number of modules; a longer text gets by with less correction. */
const MAX_MEDIUM_CHARACTERS = 62;
const BORDER_MODULES = 4;
const BLACK_ON_WHITE = "\x1b[38;5;16;48;5;231m";
const RESET = "\x1b[0m";
/** By whether the upper and the lower module are dark. */
const BLOCKS = [
  [" ", "▄"],
  ["▀", "█"],
] as const;

/**
 * The code of a text as lines for a terminal, each with its own colours and a newline; at most 45 columns and 23 lines.
 * @throws {RangeError} when the text is longer than 84 characters or has others than printable ASCII.
 */
export async function drawQrCode(text: string): Promise<string> {
  if (text.length > MAX_CHARACTERS || !/^[ -~]+$/.test(text)) throw new RangeError("no text for a QR code");
  const { encodeQR } = await import("qr");
  const ecc = text.length <= MAX_MEDIUM_CHARACTERS ? "medium" : "low";
  const modules = encodeQR(text, "raw", { ecc, encoding: "byte", border: BORDER_MODULES });
  const lines: string[] = [];
  for (let y = 0; y < modules.length; y += 2) {
    const [upper = [], lower = []] = [modules[y], modules[y + 1]];
    const blocks = upper.map((isDark, x) => BLOCKS[isDark ? 1 : 0][lower[x] === true ? 1 : 0]);
    lines.push(`${BLACK_ON_WHITE}${blocks.join("")}${RESET}\n`);
  }
  return lines.join("");
}
