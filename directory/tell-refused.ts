import type { Logger } from "pino";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import type { Audit } from "./audit.ts";
import type { AuditEvent } from "./audit/events.ts";
import type { TokenBucket } from "./rate-limit.ts";
import type { ResponseStream } from "./response-stream.ts";

export interface Refused {
  readonly refused: RefusalCode;
  /** In ms, when to ask again. */
  readonly wait?: number;
}

/** Ends a stream with a refusal. `tries`: those of the address at secrets; one that has proved to know the secret is given back. */
export function tellRefused(
  { audit, log }: { readonly audit: Audit; readonly log: Logger },
  event: AuditEvent,
  stream: ResponseStream,
  { refused: code, wait = 0 }: Refused,
  tries?: TokenBucket,
): void {
  if (PROVES_SECRET.has(code)) tries?.giveBack();
  // Others than those who try secrets, who are few by the limit on them, cannot write here.
  if (tries !== undefined) audit.write({ event, verdict: code });
  log.debug({ code }, event);
  stream.end({ type: "refused", code, detail: wait });
}

const PROVES_SECRET: ReadonlySet<RefusalCode> = new Set(["E_CRAM_USED", "E_MEMBER_KEY"]);
