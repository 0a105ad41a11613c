/** One line of the benchmark's table. */
export interface Row {
  readonly name: string;
  readonly ours: number;
  readonly unit: string;
  /** The same of a peer in the same run; undefined where there is none that could be compared. */
  readonly peer: number | undefined;
  /** Which peer, how it was measured, and what else there is to know. */
  readonly note: string;
}
