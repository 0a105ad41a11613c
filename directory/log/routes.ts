import type { ServerResponse } from "node:http";
import type { Logger } from "pino";
import { utf8 } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { CHECKPOINT_CACHE_SECONDS } from "../../protocol/limits.ts";
import {
  encodeEntryBundle,
  encodeTile,
  parseTilePath,
  TILE_WIDTH,
  tileNodes,
  tileWidth,
} from "../../protocol/log/tiles.ts";
import { refuse } from "../post.ts";
import type { Log } from "./log.ts";
import { logFailure } from "../log-failure.ts";

/** Below it the log is served, as C2SP tlog-tiles (https://c2sp.org/tlog-tiles) has it. */
export const LOG_PREFIX = "/v1/log/";

/** An answer that depends on the path alone, so that anybody may keep it for as long as its headers say. */
export interface StaticAnswer {
  readonly status: 200 | 400 | 404;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/**
 * What GET of `path` gives: the newest checkpoint, or a tile of hashes or of entries. 404 for a tile that the log has not
 * reached, 400 for a path that no tile has; undefined for one that is not the log's.
 * @throws {UnavailableError} E_STORAGE.
 */
export async function logFile(
  log: Pick<Log, "checkpoint" | "hashes" | "leaves">,
  path: string,
): Promise<StaticAnswer | undefined> {
  if (!path.startsWith(LOG_PREFIX)) return undefined;
  const name = path.slice(LOG_PREFIX.length);
  if (name === "checkpoint") {
    return found("text/plain; charset=utf-8", `max-age=${CHECKPOINT_CACHE_SECONDS}`, utf8(log.checkpoint.text));
  }
  if (!name.startsWith("tile/")) return missing(404);
  let tile: ReturnType<typeof parseTilePath>;
  try {
    tile = parseTilePath(name);
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    return missing(400);
  }
  // A narrower one than there is now belongs to an older checkpoint, and is as true as then.
  if (tile.width > tileWidth(tile, log.checkpoint.size)) return missing(404);
  const bytes =
    tile.level === "entries"
      ? encodeEntryBundle(await log.leaves(tile.index * TILE_WIDTH, tile.width))
      : encodeTile(await log.hashes(tileNodes(tile)));
  return found("application/octet-stream", "max-age=31536000, immutable", bytes);
}

/** Answers a GET of `path`, whatever it is. Never rejects. */
export async function serveLog(
  path: string,
  response: ServerResponse,
  { statementLog, log }: { readonly statementLog: Parameters<typeof logFile>[0]; readonly log: Logger },
): Promise<void> {
  try {
    const answer = await logFile(statementLog, path);
    if (answer === undefined) return refuse(response, 404);
    response.writeHead(answer.status, { ...answer.headers, "content-length": answer.body.length }).end(answer.body);
  } catch (error) {
    logFailure(log, error, "request failed");
    refuse(response, 503);
  }
}

function found(type: string, age: string, body: Uint8Array): StaticAnswer {
  return { status: 200, headers: { "content-type": type, "cache-control": `public, ${age}` }, body };
}

/** What is not there yet may be there soon. */
function missing(status: 400 | 404): StaticAnswer {
  return { status, headers: { "cache-control": "no-store" }, body: new Uint8Array(0) };
}
