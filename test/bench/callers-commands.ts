export type CallersCommand =
  | {
      readonly do: "activate";
      readonly address: string;
      /** The data folder of the directory. */
      readonly data: string;
      readonly prefix: string;
      readonly count: number;
    }
  /** Devices `d0`, `d1`, ... of a name, by the hashes of their bindings. */
  | { readonly do: "devices"; readonly name: string; readonly bindings: readonly string[] }
  /** Sessions with any of them for so long: `perSecond`, or 0: `atOnce` at a time, as fast as they go. */
  | ({ readonly do: "connect"; readonly seconds: number } & Load)
  /** The same until it is told to end. */
  | ({ readonly do: "begin" } & Load)
  | { readonly do: "end" };

export interface Load {
  readonly perSecond: number;
  readonly atOnce: number;
}

export interface CallersAnswer {
  /** Milliseconds of each session that came about, to the device's first byte. */
  readonly times: readonly number[];
  /** How many did not, by code. */
  readonly failures: Readonly<Record<string, number>>;
  readonly elapsedMs: number;
  /** Of the process that asks. */
  readonly cpuSeconds: number;
}
