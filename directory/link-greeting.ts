import { equalBytes } from "../keys/bytes.ts";
import { PeerError } from "../keys/errors.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import { isExpired } from "../protocol/statement-fields.ts";
import { memberStanding } from "./standing.ts";
import { type LinkHello, parseLinkHello } from "../protocol/messages/link.ts";
import { LINK } from "../protocol/messages/types.ts";
import { type OpenedMessage, openMessage } from "../protocol/sealed-message.ts";
import type { LinkHost } from "./link-host.ts";
import { LinkSealer } from "./link-sealing.ts";

/** A hello that could be opened, and what answers to it are sealed with. */
export interface Greeting {
  readonly message: OpenedMessage;
  readonly hello: LinkHello;
  readonly sealer: LinkSealer;
}

/** The hello in `bytes`; undefined when it is sealed to a key that is gone. @throws {PeerError} E_PROTOCOL, E_VERSION. */
export function openGreeting(
  host: Pick<LinkHost<never>, "suite" | "random" | "clock" | "keyring">,
  bytes: Uint8Array,
  first: Greeting | undefined,
): Greeting | undefined {
  const { suite, clock, keyring } = host;
  for (const sender of keyring.sealing(clock.now())) {
    const message = openMessage(suite, [sender], bytes);
    if (message === "unknown-recipient") continue;
    if (message.type !== LINK.hello) throw new PeerError("E_PROTOCOL", "a link does not begin with a hello");
    const hello = parseLinkHello(message.body);
    if (first !== undefined && !equalBytes(first.hello.epoch, hello.epoch)) {
      throw new PeerError("E_PROTOCOL", "a second hello has another epoch");
    }
    const parties = { sender, recipient: message.sender };
    return { message, hello, sealer: first?.sealer ?? new LinkSealer(host, parties, hello.epoch) };
  }
  return undefined;
}

/** Why no device of this directory has said that, as far as its standing goes; undefined: one has. @throws {UnavailableError} E_STORAGE. */
export async function strangerRefusal(
  { store, clock }: Pick<LinkHost<never>, "store" | "clock">,
  { message, hello }: Pick<Greeting, "message" | "hello">,
): Promise<RefusalCode | undefined> {
  const standing = await memberStanding(store, hello);
  const record = standing?.record;
  if (record?.role !== "device" || !record.x25519.equals(message.sender)) return "E_NOT_AUTHORIZED";
  if (standing?.isRevoked === true) return "E_REVOKED";
  return isExpired(record, clock.now()) ? "E_STATEMENT" : undefined;
}
