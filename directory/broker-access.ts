import type { IncomingMessage, ServerResponse } from "node:http";
import { PeerError } from "../keys/errors.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { deviceAtBroker, deviceTopic, directoryTopic } from "../protocol/broker-topics.ts";
import { BROKER_DENIALS_BURST, BROKER_DENIALS_PER_SECOND, BROKER_QUESTION_BYTES } from "../protocol/limits.ts";
import { LINK } from "../protocol/messages/types.ts";
import { openMessage } from "../protocol/sealed-message.ts";
import { isExpired } from "../protocol/statement-fields.ts";
import type { Clock } from "./clock.ts";
import type { ConnectObserver } from "./connect-observer.ts";
import type { Freshness } from "./freshness.ts";
import type { Keyring } from "./keyring.ts";
import { AddressLimiter } from "./rate-limit.ts";
import { partyOf } from "./said-by-owner.ts";
import { memberStanding } from "./standing.ts";
import type { Store } from "./store.ts";

export const BROKER_ACCESS_PREFIX = "/v1/mqtt/";

interface Services {
  readonly suite: CipherSuite;
  readonly clock: Clock;
  readonly keyring: Keyring;
  readonly freshness: Freshness;
  readonly store: Store;
  /** How often one address may ask what is answered with no; of its own, for a broker asks for all its devices. */
  readonly limiter?: AddressLimiter;
  readonly observer?: Pick<ConnectObserver, "turnedAway"> | undefined;
}

/** What a broker asks, by its fields; anything may be in them. */
type Question = Readonly<Record<string, unknown>>;

/**
 * Answers brokers that ask who may come in and where he may read and write, as RabbitMQ's rabbitmq_auth_backend_http and EMQX's
 * HTTP authenticator and authorizer ask. Anybody may ask: the answer is yes or no, and yes to a password takes a token that a device
 * of this directory has made within the last minute, and that was not shown before. An address that is often answered no is not
 * answered any more for a while (429), which brokers take for a no.
 */
export class BrokerAccess {
  readonly #services: Services;
  readonly #limiter: AddressLimiter;

  constructor(services: Services) {
    this.#services = services;
    this.#limiter = services.limiter ?? new AddressLimiter(DENIALS, DENIALS); // a broker on this machine is one, too
  }

  /** Forgets addresses that have not asked for a while. */
  sweep(): void {
    this.#limiter.sweep(this.#services.clock.monotonic());
  }

  /** Answers a request below BROKER_ACCESS_PREFIX. @throws {UnavailableError} E_STORAGE. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "", "http://directory");
    const judge = JUDGES.get(url.pathname.slice(BROKER_ACCESS_PREFIX.length));
    if (judge === undefined) return void response.writeHead(404).end();
    const now = this.#services.clock.monotonic();
    const bucket = this.#limiter.bucket(request.socket.remoteAddress ?? "", now);
    if (!bucket.take(now)) {
      this.#services.observer?.turnedAway("broker question");
      return void response.writeHead(429, { "retry-after": "5" }).end();
    }
    const question = await questionOf(request, url);
    const isAllowed = question !== undefined && (await judge.allows(question, this));
    if (isAllowed) bucket.giveBack();
    const [type, body] = judge.isJson
      ? ["application/json", JSON.stringify({ result: isAllowed ? "allow" : "deny" })]
      : ["text/plain", isAllowed ? "allow" : "deny"];
    response.writeHead(200, { "content-type": type, "cache-control": "no-store" }).end(body);
  }

  /**
   * Whether a password is a fresh token of the device that is called so at the broker, and is one, and comes for the first time.
   * @throws {UnavailableError} E_STORAGE.
   */
  async isDevice(user: string, password: string): Promise<boolean> {
    const { suite, clock, keyring, freshness, store } = this.#services;
    if (!AT_BROKER.test(user) || !TOKEN.test(password)) return false;
    try {
      const message = openMessage(suite, keyring.sealing(clock.now()), Buffer.from(password, "base64url"));
      if (message === "unknown-recipient" || message.type !== LINK.brokerToken || message.body.length > 0) return false;
      if (message.freshness.kind !== "time" || !(await freshness.isRecent(message.freshness, clock.now())))
        return false;
      const holder = await store.keyHolder(message.sender);
      if (holder?.includes("/") !== true) return false;
      const party = partyOf(holder);
      if (deviceAtBroker(suite, keyring.fingerprint, party) !== user) return false;
      const standing = await memberStanding(store, party);
      const record = standing?.record;
      if (record?.role !== "device" || !record.x25519.equals(message.sender) || isExpired(record, clock.now()))
        return false;
      return standing?.isRevoked === false && (await freshness.judge(message, clock.now())) === "fresh";
    } catch (error) {
      if (error instanceof PeerError) return false;
      throw error;
    }
  }

  /** Whether a device may read from, or write to, a topic. */
  mayUse(user: string, topic: string, action: "read" | "write"): boolean {
    if (!AT_BROKER.test(user)) return false;
    if (action === "read") return topic === deviceTopic(user);
    const up = directoryTopic(this.#services.suite, this.#services.keyring.fingerprint);
    const replicas = up.replace("/u/", "/r/");
    return topic === up || (topic.startsWith(`${replicas}/`) && AT_BROKER.test(topic.slice(replicas.length + 1)));
  }
}

interface Judge {
  readonly isJson: boolean;
  allows(question: Question, access: BrokerAccess): Promise<boolean> | boolean;
}

const AT_BROKER = /^[0-9a-f]{32}$/;
/** A sealed message without a body has 130 bytes. */
const TOKEN = /^[\w-]{100,300}$/;
const DENIALS = { perSecond: BROKER_DENIALS_PER_SECOND, burst: BROKER_DENIALS_BURST };

const ACTIONS: ReadonlyMap<string, "read" | "write"> = new Map([
  ["publish", "write"],
  ["subscribe", "read"],
]);
/** By what comes after the prefix. RabbitMQ writes a topic with dots. */
const RULES: Readonly<Record<string, Judge>> = {
  "rabbitmq/user": {
    isJson: false,
    allows: (asked, access) => {
      const user = textOf(asked, "username");
      const isOwnClientId = !Object.hasOwn(asked, "client_id") || asked["client_id"] === user;
      return isOwnClientId && access.isDevice(user, textOf(asked, "password"));
    },
  },
  "rabbitmq/vhost": { isJson: false, allows: (asked) => AT_BROKER.test(textOf(asked, "username")) },
  "rabbitmq/resource": {
    isJson: false,
    allows: (asked) => {
      const user = textOf(asked, "username");
      const [kind, name] = [textOf(asked, "resource"), textOf(asked, "name")];
      if (!AT_BROKER.test(user)) return false;
      if (kind === "exchange") return name === "amq.topic" && textOf(asked, "permission") !== "configure";
      return kind === "queue" && /^mqtt-subscription-(.*)qos[01]$/.exec(name)?.[1] === user;
    },
  },
  "rabbitmq/topic": {
    isJson: false,
    allows: (asked, access) => {
      const permission = textOf(asked, "permission");
      if (permission !== "read" && permission !== "write") return false;
      const key = textOf(asked, "routing_key");
      const topic = key.replaceAll(".", "/");
      return !key.includes("/") && access.mayUse(textOf(asked, "username"), topic, permission);
    },
  },
  "emqx/user": {
    isJson: true,
    allows: (asked, access) => {
      const user = textOf(asked, "username");
      // Whoever comes in as another client throws that one out.
      return asked["clientid"] === user && access.isDevice(user, textOf(asked, "password"));
    },
  },
  "emqx/topic": {
    isJson: true,
    allows: (asked, access) => {
      const action = ACTIONS.get(textOf(asked, "action"));
      return action !== undefined && access.mayUse(textOf(asked, "username"), textOf(asked, "topic"), action);
    },
  },
};
const JUDGES: ReadonlyMap<string, Judge> = new Map(Object.entries(RULES));

/** The fields of a query, a form or a JSON object; undefined for what is none, or too long. */
async function questionOf(request: IncomingMessage, url: URL): Promise<Question | undefined> {
  if (request.method === "GET") return Object.fromEntries(url.searchParams);
  if (request.method !== "POST") return undefined;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > BROKER_QUESTION_BYTES) return undefined;
    chunks.push(chunk);
  }
  return parseBrokerQuestion(request.headers["content-type"], Buffer.concat(chunks).toString("utf8"));
}

/** The fields that a broker has posted, as a form or as a JSON object; undefined for what is neither. */
export function parseBrokerQuestion(contentType: string | undefined, text: string): Question | undefined {
  if (contentType?.startsWith("application/x-www-form-urlencoded") === true) {
    return Object.fromEntries(new URLSearchParams(text));
  }
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Question) : undefined;
  } catch {
    return undefined;
  }
}

function textOf(question: Question, field: string): string {
  const value = Object.hasOwn(question, field) ? question[field] : undefined;
  return typeof value === "string" ? value : "";
}
