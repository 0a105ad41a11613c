import { type RawData, WebSocket } from "ws";

/** Whoever is told what happens to a socket. */
export interface SocketHearer {
  /** A whole message has come. */
  message(data: RawData, isBinary: boolean): void;
  /** A ping or a pong has come. */
  sound(): void;
  closed(): void;
}

/**
 * A device's WebSocket. It tells one hearer what thousands of them would each have listeners and a table of those for, a tenth of a
 * link's memory.
 */
export class DeviceSocket extends WebSocket {
  hearer: SocketHearer | undefined;

  override emit(event: string | symbol, ...words: unknown[]): boolean {
    switch (event) {
      case "message":
        this.hearer?.message(words[0] as RawData, words[1] as boolean);
        return true;
      case "ping":
      case "pong":
        this.hearer?.sound();
        return true;
      case "error":
        this.terminate();
        return true;
      case "close":
        this.hearer?.closed();
    }
    return super.emit(event, ...words);
  }
}
