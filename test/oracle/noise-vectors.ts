import { readFileSync } from "node:fs";
import { join } from "node:path";
import { env } from "node:process";

/** The folder of published test vectors, or undefined when this checkout stands alone. */
export const vectorsFolder: string | undefined = env["SSHNP_VECTORS"];

/** One entry of `noise.json`, in the layout of the cacophony project; all fields but the name are hex. */
export type NoiseVector = {
  readonly protocol_name: string;
  readonly init_prologue: string;
  readonly init_static: string;
  readonly init_ephemeral: string;
  readonly init_psks?: readonly string[];
  readonly init_remote_static: string;
  readonly resp_static: string;
  readonly resp_ephemeral?: string;
  readonly handshake_hash: string;
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[];
};

/** All vectors of that protocol name, or none when there is no folder of vectors. */
export function noiseVectors(protocolName: string): NoiseVector[] {
  if (vectorsFolder === undefined) return [];
  const file: { vectors: NoiseVector[] } = JSON.parse(readFileSync(join(vectorsFolder, "noise.json"), "utf8"));
  return file.vectors.filter((vector) => vector.protocol_name === protocolName);
}
