import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";

/** The ways to the directory. */
export type LinkWay = "websocket" | "mqtt";

/** Told how requests and sessions of this device fare: never whose. */
export interface DeviceObserver {
  /** A session's client has proved itself, so many ms after the session was granted. */
  confirmed(ms: number): void;
  /** A session is over: `closed`, `broken off`, `failed`, or `given up` before its client had proved itself. */
  ended(how: string): void;
  /** A stream is served, until it is closed. */
  stream(stream: ChannelStream): void;
}
