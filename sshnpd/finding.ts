/** One thing that `sshnpd check` has looked at. */
export interface Finding {
  /** What it is about, in a word or two. */
  readonly about: string;
  readonly isFine: boolean;
  readonly text: string;
  /** What to do. */
  readonly next?: string;
}

export function fine(about: string, text: string): Finding {
  return { about, isFine: true, text };
}

export function toFix(about: string, text: string, next: string | undefined): Finding {
  return { about, isFine: false, text, ...(next !== undefined && { next }) };
}
