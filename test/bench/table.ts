/** One line of the benchmark: what was measured of us, and beside it the same of others in the same run. */
export interface Row {
  readonly name: string;
  readonly unit: string;
  /** Which of two values is better. */
  readonly better: "higher" | "lower";
  readonly ours: number;
  /** Those that are measured in the same run; without a value where one is not on this machine. Empty: nobody does the like. */
  readonly peers: readonly Peer[];
  /** The value that was aimed at, in the row's unit. */
  readonly target?: Target;
  /** What one has to know to read the figures. */
  readonly note?: string;
}

export interface Peer {
  readonly name: string;
  readonly value: number | undefined;
}

/** At least or at most a value; or a multiple of the first peer's value. */
export type Target = { readonly value: number } | { readonly timesPeer: number };

/** The lines of a row in the table, one for each peer. */
export function rowLines(row: Row): string[] {
  const { name, unit, ours, peers, better } = row;
  const others = peers.length === 0 ? [{ name: "no peer", value: undefined }] : peers;
  return others.map(({ name: peer, value }, index) => {
    const first = index === 0;
    const ratio = value === undefined || value === 0 ? "" : number(ours / value);
    return [
      (first ? `${name}, ${unit}` : "").padEnd(58),
      (first ? number(ours) : "").padStart(9),
      (first ? targetText(row) : "").padStart(11),
      `  ${peer.padEnd(34)}`,
      (value === undefined ? (peers.length === 0 ? "" : "no peer") : number(value)).padStart(9),
      ratio.padStart(8),
      first ? `  ${better} is better` : "",
    ].join("");
  });
}

export const HEADER = [
  "".padEnd(58),
  "ours".padStart(9),
  "target".padStart(11),
  `  ${"peer".padEnd(34)}`,
  "peer's".padStart(9),
  "ours/p.".padStart(8),
].join("");

/** Whether the target is met; undefined where there is none, or none to compare with. */
export function meetsTarget({ ours, target, better, peers }: Row): boolean | undefined {
  const wanted = targetValue(target, peers);
  if (wanted === undefined) return undefined;
  return better === "higher" ? ours >= wanted : ours <= wanted;
}

function targetText(row: Row): string {
  const wanted = targetValue(row.target, row.peers);
  if (wanted === undefined) return "";
  return `${row.better === "higher" ? ">=" : "<="} ${number(wanted)} ${meetsTarget(row) === true ? "ok" : "no"}`;
}

function targetValue(target: Target | undefined, peers: readonly Peer[]): number | undefined {
  if (target === undefined) return undefined;
  if ("value" in target) return target.value;
  const first = peers[0]?.value;
  return first === undefined ? undefined : first * target.timesPeer;
}

/** Three significant digits, or the whole part of what is larger. */
function number(value: number): string {
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** The value below which the given share of the values lies, and the one in the middle. @throws {RangeError} for none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  if (value === undefined) throw new RangeError("no values");
  return value;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}
