import type { VerifiedKeyList } from "../../protocol/key-list.ts";
import type { LinkChanged, LinkNames, LinkOwn } from "../../protocol/messages/link.ts";
import type { Notify } from "../../protocol/messages/session-request.ts";

export type LinkEvent =
  | { readonly type: "notify"; readonly notify: Notify }
  /** Statements on names that the hello listed, as the directory gives them: not verified. */
  | { readonly type: "names"; readonly names: LinkNames }
  /** What stands about the device itself: not verified. */
  | { readonly type: "own"; readonly own: LinkOwn }
  /** What stands about a client that the device watches: not verified. */
  | { readonly type: "changed"; readonly changed: LinkChanged }
  | { readonly type: "keyList"; readonly keyList: VerifiedKeyList };
