import type { Duplex } from "node:stream";
import type { Log } from "../log.ts";
import type { Entry } from "./authentication.ts";
import type { Visitor } from "./environment.ts";
import type { SftpServer } from "./sftp-words.ts";
import type { ChannelWindow, Windows } from "./windows.ts";

/** One connection of somebody who has logged in. */
export interface ConnectionContext extends Entry {
  readonly visitor: Visitor;
  readonly transport: Duplex;
  readonly log: Log;
  readonly sftpServer: SftpServer;
  /** Of all connections of the server. */
  readonly windows: Windows;
  /** Aborted when the connection has ended. */
  readonly signal: AbortSignal;
  /** Ends the connection, with a reason for the log. */
  readonly breakOff: (why: string) => void;
  /** The connection counts as ended when this is. */
  readonly track: (work: Promise<void>) => void;
}

/** The same for one of its channels. */
export interface ChannelContext extends ConnectionContext {
  readonly window: ChannelWindow;
}
