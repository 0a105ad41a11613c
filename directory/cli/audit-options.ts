import type { DataOptions } from "./data-options.ts";

/** Of `audit export`, as they were typed. */
export interface ExportOptions {
  readonly data?: string;
  readonly since?: string;
  readonly until?: string;
  readonly event?: readonly string[];
  readonly format?: "ndjson" | "syslog";
  readonly to?: string;
  readonly toCa?: string;
  readonly follow?: boolean;
  readonly cursorFile?: string;
}

/** Of `audit verify`, as they were typed. */
export interface VerifyOptions extends Partial<DataOptions> {
  readonly directory?: string;
  readonly checkpoint?: string;
  readonly logSize?: string;
  readonly otherDirectories?: boolean;
  readonly witness?: readonly string[];
  readonly witnesses?: string;
  readonly maxCheckpointAge?: string;
}
