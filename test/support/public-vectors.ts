import { readFileSync } from "node:fs";
import { join } from "node:path";
import { env } from "node:process";

/** Whether the folder of published vectors is there (SSHNP_VECTORS); tests that need it are skipped otherwise. */
export const hasPublicVectors: boolean = env["SSHNP_VECTORS"] !== undefined;

/** The parsed JSON of one file of that folder. */
export function readPublicVectors(file: string): unknown {
  return JSON.parse(readFileSync(join(env["SSHNP_VECTORS"] ?? "", file), "utf8"));
}

/** A file of the Wycheproof project: groups of cases, each with what makes it special. */
export interface Wycheproof<Group, Case> {
  readonly testGroups: readonly (Group & { readonly tests: readonly (Case & WycheproofCase)[] })[];
}

interface WycheproofCase {
  readonly tcId: number;
  readonly comment: string;
  readonly flags: readonly string[];
  readonly result: "valid" | "invalid" | "acceptable";
}
