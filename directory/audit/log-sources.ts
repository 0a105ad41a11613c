import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { utf8Text } from "../../keys/bytes.ts";
import { type LogKey, openCheckpoint } from "../../protocol/log/checkpoint.ts";
import { parseEntryBundle, printTilePath, TILE_WIDTH } from "../../protocol/log/tiles.ts";
import type { Log } from "../log/log.ts";
import type { LogSource } from "./log-copy.ts";

/** The log in a store. */
export function logOfStore(log: Log): LogSource {
  return {
    async checkpoint() {
      await log.refresh();
      return log.checkpoint;
    },
    leaves: (first, count) => log.leaves(first, count),
  };
}

/** A log by the files that it serves; `read` gives the one of a path below /v1/log/. */
export function servedLog(suite: CipherSuite, key: LogKey, read: (path: string) => Promise<Uint8Array>): LogSource {
  return {
    checkpoint: async () => openCheckpoint(suite, utf8Text(await read("checkpoint")), key),
    async leaves(first, count, size) {
      const index = first / TILE_WIDTH;
      const width = Math.min(TILE_WIDTH, size - first);
      const bundle = await read(printTilePath({ level: "entries", index, width }));
      return parseEntryBundle(bundle, width).slice(0, count);
    },
  };
}
