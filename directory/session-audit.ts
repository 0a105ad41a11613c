import type { Logger } from "pino";
import { hex } from "../keys/bytes.ts";
import type { Prologue } from "../protocol/messages/prologue.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { Audit } from "./audit.ts";

/** Notes what has become of a request for a session. */
export function auditSession(
  { audit, log }: { readonly audit: Pick<Audit, "write">; readonly log: Pick<Logger, "debug"> },
  { sid, client, device, service }: Prologue,
  verdict: string,
): void {
  log.debug({ sid: hex(sid), verdict }, "session");
  audit.write({
    ...{ event: "session", verdict, sid: hex(sid) },
    ...{ client: bindingSubject(client), device: bindingSubject(device), service },
  });
}
