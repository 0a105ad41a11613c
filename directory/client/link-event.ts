import { PeerError } from "../../keys/errors.ts";
import type { VerifiedKeyList } from "../../protocol/key-list.ts";
import {
  type LinkChanged,
  type LinkNames,
  type LinkOwn,
  parseLinkChanged,
  parseLinkNames,
  parseLinkOwn,
} from "../../protocol/messages/link.ts";
import { type Notify, parseNotify } from "../../protocol/messages/session-request.ts";
import { LINK } from "../../protocol/messages/types.ts";
import type { LinkMessage } from "../link-sealing.ts";

export type LinkEvent =
  | { readonly type: "notify"; readonly notify: Notify }
  /** Statements on names that the hello listed, as the directory gives them: not verified. */
  | { readonly type: "names"; readonly names: LinkNames }
  /** What stands about the device itself: not verified. */
  | { readonly type: "own"; readonly own: LinkOwn }
  /** What stands about a client that the device watches: not verified. */
  | { readonly type: "changed"; readonly changed: LinkChanged }
  | { readonly type: "keyList"; readonly keyList: VerifiedKeyList };

/** What a message of the directory on a link tells. @throws {PeerError} E_PROTOCOL, also when it is none that tells anything. */
export function linkEvent({ type, body }: LinkMessage): Exclude<LinkEvent, { type: "keyList" }> {
  if (type === LINK.notify) return { type: "notify", notify: parseNotify(body) };
  if (type === LINK.names) return { type: "names", names: parseLinkNames(body) };
  if (type === LINK.own) return { type: "own", own: parseLinkOwn(body) };
  if (type === LINK.changed) return { type: "changed", changed: parseLinkChanged(body) };
  throw new PeerError("E_PROTOCOL", "the directory sends a message of an unknown type");
}
