export const ENROL_MS = 300_000; // thousands of bindings, each on disk before it is acknowledged

/** What a process of the fleet is told. */
export type FleetCommand =
  | {
      readonly do: "enrol";
      readonly address: string;
      /** The name's keys folder, with its owner key. */
      readonly keys: string;
      readonly name: string;
      /** Number of the first device, and how many. */
      readonly first: number;
      readonly count: number;
    }
  /** Until each device has a link that came up later than `since`, ms since 1970. */
  | { readonly do: "wait"; readonly since: number }
  /** From now on links go over a line of so many milliseconds. */
  | { readonly do: "lengthen"; readonly roundTripMs: number }
  | { readonly do: "bringUp" | "standDown" | "report" };

export interface FleetAnswer {
  readonly devices: number;
  readonly linked: number;
  /** When each link that is up came up, ms since 1970; told after a wait. */
  readonly linkedAt?: readonly number[];
  /** Links lost and attempts failed since the start. */
  readonly losses: number;
  /** Of the process that plays the devices, since its start. */
  readonly cpuSeconds: number;
}
