import type { Socket } from "node:net";
import type { MqttClient } from "mqtt";
import { BROKER_CLOSE_MS, BROKER_PUBLISH_MS } from "../../protocol/limits.ts";

/** What is said at a broker: each message has its end, whatever the broker does. */
export class BrokerPublishing {
  readonly #client: MqttClient;
  readonly #socket: Socket;
  readonly #fail: (cause: unknown) => Error;
  /** How to end those that the broker has yet to confirm. */
  readonly #unconfirmed = new Set<(error: Error) => void>();
  #end: Error | undefined;

  constructor(client: MqttClient, socket: Socket, ended: Promise<Error>, fail: (cause: unknown) => Error) {
    this.#client = client;
    this.#socket = socket;
    this.#fail = fail;
    // Once for all of them: what is hung on a promise that stays stays with it.
    void this.#endWith(ended);
  }

  /** Resolves when the broker has it; one that does not say so in BROKER_PUBLISH_MS is left. */
  async publish(topic: string, payload: Uint8Array): Promise<void> {
    if (this.#end !== undefined) throw this.#end;
    let settle: ((error?: Error) => void) | undefined;
    const confirmed = new Promise<void>((resolve, reject) => {
      settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    const end = (error?: Error): void => settle?.(error);
    this.#unconfirmed.add(end);
    const limit = setTimeout(() => setImmediate(() => this.#leave(end)), BROKER_PUBLISH_MS);
    try {
      this.#client.publish(topic, Buffer.from(payload), { qos: 1, retain: false }, (error) =>
        end(error ? this.#fail(error) : undefined),
      );
      await confirmed;
    } finally {
      clearTimeout(limit);
      this.#unconfirmed.delete(end);
    }
  }

  /** Says that we go; a broker that does not answer is not waited for. */
  close(): void {
    this.#client.end();
    const limit = setTimeout(() => this.#socket.destroy(), BROKER_CLOSE_MS);
    this.#socket.once("close", () => clearTimeout(limit));
  }

  async #endWith(ended: Promise<Error>): Promise<void> {
    const error = await ended;
    this.#end = error;
    for (const end of this.#unconfirmed) end(error);
  }

  /** Unless the confirmation lay unread, because it was this process that was slow. */
  #leave(end: (error: Error) => void): void {
    if (!this.#unconfirmed.has(end)) return;
    this.#socket.destroy(new Error(`it has not confirmed a message within ${BROKER_PUBLISH_MS / 1000} s`));
  }
}
