import { rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { socketFolder } from "./socket-folder.ts";

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
  const folder = socketFolder(NAME);
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
