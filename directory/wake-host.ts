import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { deviceAtBroker, deviceTopic } from "../protocol/broker-topics.ts";
import type { Clock } from "./clock.ts";
import type { Keyring } from "./keyring.ts";
import type { LinkMessage } from "./link-sealing.ts";
import { LinkSealer } from "./link-sealing.ts";
import type { Log } from "./log/log.ts";
import type { Party } from "./presence.ts";
import type { Store } from "./store.ts";
import type { WakeRow, WakeRows } from "./wake-rows.ts";

/** What it takes to tell a device at a broker something. */
export interface WakeHost {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly clock: Clock;
  readonly keyring: Keyring;
  readonly store: Store;
  readonly statementLog: Pick<Log, "proof" | "proves">;
  readonly rows: WakeRows;
  /** 16 bytes of this process. */
  readonly replica: Uint8Array;
  /** Whether there is a connection to the broker. */
  readonly isConnected: () => boolean;
  /** QoS 1; resolves when the broker has it. @throws {UnavailableError} E_DIRECTORY. */
  readonly publish: (topic: string, payload: Uint8Array) => Promise<void>;
  /** It was to be told something, and could not be. */
  readonly untold: (party: Party) => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Seals messages as those after the `sent` of a row, and publishes them in their order; false when the key is gone that the
 * device believes. @throws {UnavailableError} E_DIRECTORY.
 */
export async function tellByBroker(
  { suite, random, clock, keyring, publish }: WakeHost,
  party: Party,
  row: Pick<WakeRow, "recipient" | "device" | "epoch" | "sent">,
  messages: readonly LinkMessage[],
): Promise<boolean> {
  const sender = keyring.sealing(clock.now()).find((key) => key.publicKey.equals(row.recipient));
  if (sender === undefined) return false;
  const sealer = new LinkSealer({ suite, random }, { sender, recipient: row.device }, row.epoch, row.sent);
  const topic = deviceTopic(deviceAtBroker(suite, keyring.fingerprint, party));
  await Promise.all(messages.map((message) => publish(topic, sealer.seal(message))));
  return true;
}
