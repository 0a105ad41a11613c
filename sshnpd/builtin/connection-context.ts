import type { Duplex } from "node:stream";
import type { Log } from "../log.ts";
import type { Entry } from "./authentication.ts";
import type { Visitor } from "./environment.ts";
import type { SftpServer } from "./sftp-words.ts";

/** One connection of somebody who has logged in. */
export interface ConnectionContext extends Entry {
  readonly visitor: Visitor;
  readonly transport: Duplex;
  readonly log: Log;
  readonly sftpServer: SftpServer;
  /** Whether a client may connect through the device to a host and port. */
  readonly mayForward: ((host: string, port: number) => boolean) | undefined;
  /** Whether a client may have ports of the device's loopback lead to it. */
  readonly mayListen: boolean;
  /** Aborted when the connection has ended. */
  readonly signal: AbortSignal;
  /** Ends the connection, with a reason for the log. */
  readonly breakOff: (why: string) => void;
  /** The connection counts as ended when this is. */
  readonly track: (work: Promise<void>) => void;
}
