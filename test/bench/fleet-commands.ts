export const ENROL_MS = 600_000; // thousands of bindings, each on disk before it is acknowledged

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
  /** `address`: another directory to link to, on the same store. `broker`: an MQTT broker to wait at instead. */
  | { readonly do: "bringUp"; readonly address?: string; readonly broker?: string; readonly isMetered?: boolean }
  /** So many devices, at random, link anew; or they get new keys and a binding of them first. */
  | { readonly do: "relink" | "rotate"; readonly count: number }
  | { readonly do: "standDown" | "report" | "returns" };

export interface FleetAnswer {
  readonly devices: number;
  readonly linked: number;
  /** When each link that is up came up, ms since 1970; told after a wait. */
  readonly linkedAt?: readonly number[];
  /** SHA-256 of each device's binding, hex, in the order of their numbers; told after the enrolment. */
  readonly bindings?: readonly string[];
  /** The first attempts after links that were lost, in the order in which they were made; told for `returns`. */
  readonly returns?: readonly Return[];
  /** Links lost and attempts failed since the start. */
  readonly losses: number;
  /** Of the process that plays the devices, since its start. */
  readonly cpuSeconds: number;
}

/** A device that comes back. Times are ms by the clock of its process that timers go by. */
export interface Return {
  readonly device: number;
  /** Until when it was to wait. */
  readonly due: number;
  readonly tried: number;
  /** How long it was told to wait. */
  readonly wait: number;
  /** Whether the directory has told it. */
  readonly isTold: boolean;
}
