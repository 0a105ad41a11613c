import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { Client, type ClientChannel } from "ssh2";
import { expect } from "vitest";
import type { Harness } from "./harness.ts";

/** A client that sends what OpenSSH's cannot be made to. */
export class RawClient implements AsyncDisposable {
  readonly #client: Client;

  static async connect(server: Harness, username: string): Promise<RawClient> {
    const client = new Client();
    await new Promise<void>((resolve, reject) => {
      client.once("ready", resolve).once("error", reject);
      const privateKey = readFileSync(join(server.folder, "id_ed25519"));
      client.connect({ sock: connect(server.socket), username, privateKey });
    });
    return new RawClient(client);
  }

  private constructor(client: Client) {
    this.#client = client;
    client.on("error", () => {}); // a channel's end tells
  }

  async exec(command: string, pty = false): Promise<RawChannel> {
    const channel = await new Promise<ClientChannel>((resolve, reject) =>
      this.#client.exec(command, { pty }, (error, opened) => (error === undefined ? resolve(opened) : reject(error))),
    );
    return new RawChannel(channel);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.destroy();
  }
}

export class RawChannel {
  readonly channel: ClientChannel;
  readonly status: Promise<number | undefined>;
  #text = "";

  constructor(channel: ClientChannel) {
    this.channel = channel;
    channel.on("data", (bytes: Buffer) => (this.#text += bytes.toString()));
    this.status = new Promise((resolve) => {
      let status: number | undefined;
      channel.on("exit", (code: number) => (status = code)).once("close", () => resolve(status));
    });
  }

  async shows(text: string): Promise<void> {
    await expect.poll(() => this.#text, { timeout: 20_000 }).toContain(text);
  }
}
