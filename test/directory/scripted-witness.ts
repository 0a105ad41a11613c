import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { cosign, printWitness } from "../../protocol/log/cosignature.ts";
import { parseAddCheckpoint } from "../../protocol/log/witness.ts";
import { random, suite } from "./world.ts";

interface Question {
  readonly checkpoint: string;
  readonly response: ServerResponse;
}

/** A witness that answers each question when the test says so, and what it says; it cosigns whatever it is asked. */
export class ScriptedWitness implements AsyncDisposable {
  readonly key = Ed25519PrivateKey.generate(suite, random);
  readonly #server: Server;
  readonly #questions: Question[] = [];
  readonly #waiting: (() => void)[] = [];
  /** How many questions have come. */
  asked = 0;
  /** Whether it cosigns at once. */
  isPrompt = true;

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Uint8Array[] = [];
      request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      request.on("end", () => {
        const { checkpoint } = parseAddCheckpoint(Buffer.concat(chunks).toString("utf8"));
        this.asked += 1;
        if (this.isPrompt) return this.cosign({ checkpoint, response });
        this.#questions.push({ checkpoint, response });
        this.#waiting.shift()?.();
      });
    });
  }

  static async start(): Promise<ScriptedWitness> {
    const witness = new ScriptedWitness();
    witness.#server.listen(0, "127.0.0.1");
    await once(witness.#server, "listening");
    return witness;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get verifierKey(): string {
    return printWitness(suite, { name: "scripted", publicKey: this.key.publicKey });
  }

  /** The next question that it was not prompt with. */
  async question(): Promise<Question> {
    while (this.#questions.length === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.#questions.shift() as Question;
  }

  cosign({ checkpoint, response }: Question): void {
    response.end(cosign(suite, this.key, "scripted", checkpoint, Math.floor(Date.now() / 1000)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server.close(), "close");
    this.#server.closeAllConnections();
    await closed;
  }
}
