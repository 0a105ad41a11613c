import "./terminal-mode-names.ts";
import ssh2, { type Connection, type ServerChannel, type Session } from "ssh2";
import { BUILTIN_WINDOW_LEAST_BYTES } from "../../protocol/limits.ts";

export const { Server, utils } = ssh2;

/** What a channel of ssh2's server keeps of its two directions, and how it is a stream. */
interface ChannelState {
  readonly incoming: { window: number };
  readonly outgoing: {
    readonly id: number;
    readonly window: number;
    readonly packetSize: number;
    readonly state: string;
  };
  readonly _client: { readonly _protocol: Protocol };
  readonly _readableState: { highWaterMark: number };
  /** Says that the client's next window is waited for; then `_chunkcb` is called. */
  _waitWindow: boolean;
  _chunkcb: (() => void) | undefined;
  _read(): void;
  push(chunk: Uint8Array | null): boolean;
}

export function stateOf(channel: ServerChannel): ChannelState {
  return channel as unknown as ChannelState;
}

/** Of ssh2, what is sent of channels. */
interface Protocol {
  channelOpenConfirm(remote: number, local: number, window: number, packetBytes: number): void;
  forwardedTcpip(local: number, window: number, packetBytes: number, about: unknown): void;
  channelWindowAdjust(remote: number, bytes: number): void;
  channelClose(remote: number): void;
}

interface ConnectionState {
  readonly _protocol: Protocol;
  readonly _chanMgr: { remove(local: number): void };
}

/** Has each channel of a connection begin with the least window, in place of ssh2's constant 2 MiB. */
export function narrowWindows(connection: Connection): void {
  const { _protocol: protocol } = connection as unknown as ConnectionState;
  const confirm = protocol.channelOpenConfirm.bind(protocol);
  const open = protocol.forwardedTcpip.bind(protocol);
  protocol.channelOpenConfirm = (remote, local, _window, packetBytes) =>
    confirm(remote, local, BUILTIN_WINDOW_LEAST_BYTES, packetBytes);
  protocol.forwardedTcpip = (local, _window, packetBytes, about) =>
    open(local, BUILTIN_WINDOW_LEAST_BYTES, packetBytes, about);
}

/** Closes a session that was closed with nothing started in it: ssh2 would keep it as long as the connection. */
export function forgetSession(connection: Connection, session: Session): void {
  const { _protocol: protocol, _chanMgr: channels } = connection as unknown as ConnectionState;
  const { _channel: channel, _chanInfo: info } = session as unknown as SessionState;
  if (channel !== undefined) return;
  protocol.channelClose(info.outgoing.id);
  channels.remove(info.incoming.id);
}

interface SessionState {
  readonly _channel: object | undefined;
  readonly _chanInfo: { readonly incoming: { readonly id: number }; readonly outgoing: { readonly id: number } };
}

export type { Connection, ServerChannel, Session };
