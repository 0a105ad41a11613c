import { PeerError } from "../../keys/errors.ts";
import type { X25519PublicKey } from "../../keys/x25519.ts";
import { deviceAtBroker, deviceTopic, directoryTopic, replicaTopic } from "../../protocol/broker-topics.ts";
import type { VerifiedKeyList } from "../../protocol/key-list.ts";
import { BROKER_KEEPALIVE_S, METERED_PING_MS } from "../../protocol/limits.ts";
import { encodeBrokerHello } from "../../protocol/messages/broker.ts";
import { LINK } from "../../protocol/messages/types.ts";
import { type Freshness, sealMessage } from "../../protocol/sealed-message.ts";
import type { LinkMessage } from "../link-sealing.ts";
import { type BrokerConnection, type BrokerPlace, connectBroker, isConfidential } from "./broker.ts";
import { brokerToken } from "./broker-token.ts";
import type { LinkOptions } from "./link.ts";

export interface BrokerLinkOptions extends LinkOptions {
  readonly broker: BrokerPlace;
  /** ms until the directory's welcome. */
  readonly limitMs?: number | undefined;
  /** Told what is odd but stops nothing. */
  readonly onOdd?: ((text: string) => void) | undefined;
}

/** A device at a broker: what it is called there, and what it says before the directory has given it a nonce. */
export class BrokerEnd {
  readonly #options: BrokerLinkOptions;
  /** By these 16 bytes its goodbye is known, so that it is of no use to anybody once another connection is told of. */
  readonly #connectionId: Uint8Array;
  /** The directory's key to which all is sealed as long as this connection lasts. */
  readonly recipient: X25519PublicKey;

  /** @throws {PeerError} E_PROTOCOL when there is no key to seal to. */
  constructor(options: BrokerLinkOptions, { list }: VerifiedKeyList) {
    this.#options = options;
    this.#connectionId = options.client.random(16);
    const [recipient] = list.sealing;
    if (recipient === undefined) throw new PeerError("E_PROTOCOL", "a key list has no sealing key");
    this.recipient = recipient;
  }

  /** Where the directory hears it, whichever process of it. */
  get topic(): string {
    const { client } = this.#options;
    return directoryTopic(client.suite, client.address.fingerprint);
  }

  /** Where the process of the directory hears it that has asked. */
  topicOf(replica: Uint8Array): string {
    const { client } = this.#options;
    return replicaTopic(client.suite, client.address.fingerprint, replica);
  }

  /** @throws as connectBroker. */
  async connect(limitMs: number, onMessage: (payload: Uint8Array) => void): Promise<BrokerConnection> {
    const { client, sender, hello, broker, isMetered, signal, onConnected } = this.#options;
    const keepaliveSeconds = isMetered === true ? METERED_PING_MS / 1000 : BROKER_KEEPALIVE_S;
    const atBroker = deviceAtBroker(client.suite, client.address.fingerprint, hello);
    const password = brokerToken(client, { sender, recipient: this.recipient });
    const hasLogin = broker.certificate === undefined && isConfidential(broker);
    return await connectBroker({
      ...{ place: broker, clientId: atBroker, keepaliveSeconds, limitMs, signal, onConnected },
      login: hasLogin ? { user: atBroker, password } : undefined,
      will: { topic: this.topic, payload: this.goodbye() },
      topics: [deviceTopic(atBroker)],
      onMessage,
    });
  }

  goodbye(): Uint8Array {
    const freshness = { kind: "nonce", nonce: this.#connectionId } as const;
    return this.#seal({ type: LINK.goodbye, body: new Uint8Array(0) }, freshness);
  }

  hello(epoch: Uint8Array, freshness: Freshness): Uint8Array {
    const { client, hello } = this.#options;
    const { checkpointSize } = client;
    const body = encodeBrokerHello({ ...hello, epoch, checkpointSize, connection: this.#connectionId });
    return this.#seal({ type: LINK.brokerHello, body }, freshness);
  }

  #seal(message: LinkMessage, freshness: Freshness): Uint8Array {
    const { client, sender } = this.#options;
    const content = { ...message, freshness, id: client.random(16) };
    return sealMessage(client.suite, client.random, { sender, recipient: this.recipient }, content).bytes;
  }
}
