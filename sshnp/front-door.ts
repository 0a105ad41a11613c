import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A socket that one visitor may come through: the proxy that our own ssh starts. */
export interface FrontDoor {
  readonly path: string;
  /** The visitor; nothing has been read from it. */
  readonly visitor: Promise<Socket>;
  /** Leaves nothing behind. */
  close(): void;
}

/** Listens on a socket in a folder of mode 0700, so that only this user can come. It is there when this returns. */
export function openFrontDoor(): FrontDoor {
  const folder = makeFolder();
  const path = join(folder, NAME);
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  let inside: Socket | undefined;
  const visitor = new Promise<Socket>((resolve) => {
    server.once("connection", (socket) => {
      inside = socket;
      socket.on("error", () => {}); // its close tells
      server.close();
      rmSync(folder, { recursive: true, force: true });
      resolve(socket);
    });
  });
  server.listen(path);
  const close = (): void => {
    inside?.destroy();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { path, visitor, close };
}

const NAME = "front";
/** sun_path of unix(7) has 108 bytes, its final zero included. */
const MAX_PATH_BYTES = 107;

/** In the user's runtime folder, else where temporary files go. */
function makeFolder(): string {
  for (const parent of [process.env["XDG_RUNTIME_DIR"] ?? "", tmpdir()]) {
    const length = Buffer.byteLength(join(parent, "sshnp-XXXXXX", NAME));
    if (parent === "" || length > MAX_PATH_BYTES) continue;
    try {
      return mkdtempSync(join(parent, "sshnp-"));
    } catch {
      // The next one, then.
    }
  }
  return mkdtempSync("/tmp/sshnp-");
}
