import { DeniedError } from "../keys/errors.ts";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import { Carried } from "./join-stream.ts";
import type { Served, SshServer } from "./ssh-server.ts";

/** No SSH at all (`--ssh-mode off`): the device is there for its TCP services. */
export class OffServer implements SshServer {
  readonly mode = "off";
  readonly #granted: () => Promise<string>;

  /** `granted`: what whoever may use ssh gets instead, in words. */
  constructor(granted: () => Promise<string>) {
    this.#granted = granted;
  }

  async hostKeys(): Promise<never> {
    throw new DeniedError("E_NO_SSHD", `it runs with --ssh-mode off, so there is no ssh; ${await this.#granted()}`);
  }

  serve(stream: ChannelStream): Served {
    const carried = new Carried();
    stream.refuse("refused");
    carried.end();
    return carried;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
