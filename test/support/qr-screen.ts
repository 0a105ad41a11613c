/** What a camera sees of a terminal: lines with half blocks and colours, as an image. */
export interface Image {
  readonly width: number;
  readonly height: number;
  /** RGBA */
  readonly data: Uint8ClampedArray;
}

/** The colours of a terminal where nothing sets others. */
export interface Theme {
  readonly foreground: number;
  readonly background: number;
}

export const DARK: Theme = { foreground: 230, background: 20 };
export const LIGHT: Theme = { foreground: 20, background: 245 };

const PIXELS = 6; // of half a cell, each way
const BLOCKS = new Map([
  [" ", [false, false]],
  ["▀", [true, false]],
  ["▄", [false, true]],
  ["█", [true, true]],
]);

/** A colour sequence, any other escape, or a character. */
// oxlint-disable-next-line no-control-regex
const PARTS = /\x1b\[([0-9;]*)m|\x1b.|[^]/gu;

export function withoutColours(text: string): string {
  return text.replace(PARTS, (part, codes: string | undefined) => (codes === undefined ? part : ""));
}

/** Draws lines of text with SGR sequences; letters are shown as half-lit cells, as good as any shape that is no code. */
export function photograph(lines: readonly string[], columns: number, theme: Theme): Image {
  const rows = lines.map((line) => halfCells(line, columns, theme));
  const greys = rows.flatMap(({ upper, lower }) => [upper, lower]);
  const [width, height] = [columns * PIXELS, greys.length * PIXELS];
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const grey = greys[Math.floor(y / PIXELS)]?.[Math.floor(x / PIXELS)] ?? theme.background;
      data.set([grey, grey, grey, 255], 4 * (y * width + x));
    }
  }
  return { width, height, data };
}

function halfCells(
  line: string,
  columns: number,
  theme: Theme,
): { readonly upper: number[]; readonly lower: number[] } {
  let { foreground, background } = theme;
  const [upper, lower]: [number[], number[]] = [[], []];
  for (const [part, codes] of line.matchAll(PARTS)) {
    if (codes !== undefined) ({ foreground, background } = afterCodes(codes, { foreground, background }, theme));
    else if (part.startsWith("\x1b")) continue;
    else {
      const [isUpper, isLower] = BLOCKS.get(part) ?? [true, false];
      upper.push(isUpper === true ? foreground : background);
      lower.push(isLower === true ? foreground : background);
    }
  }
  const rest = Array<number>(Math.max(0, columns - upper.length)).fill(theme.background);
  return { upper: [...upper, ...rest], lower: [...lower, ...rest] };
}

function afterCodes(text: string, now: Theme, theme: Theme): Theme {
  const codes = text === "" ? [0] : text.split(";").map(Number);
  let { foreground, background } = now;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code === 0) ({ foreground, background } = theme);
    else if (code === 39) foreground = theme.foreground;
    else if (code === 49) background = theme.background;
    else if (code === 38 || code === 48) {
      const grey = greyOf(codes[i + 1] === 5 ? (codes[i + 2] ?? -1) : -1);
      if (code === 38) foreground = grey;
      else background = grey;
      i += 2;
    } else throw new Error(`a colour that themes may change: ${text}`);
  }
  return { foreground, background };
}

/** Of the fixed part of the 256 colours. */
function greyOf(index: number): number {
  if (index === 16) return 0;
  if (index === 231) return 255;
  throw new Error(`not black or white: ${index}`);
}
