import type { SshnpError } from "../../keys/errors.ts";
import { printable } from "../../keys/print-error.ts";
import { SERVICES_TOLD } from "../../protocol/limits.ts";
import type { Progress } from "../progress.ts";

/** What happens while ports are forwarded. */
export type ForwardEvent =
  | {
      readonly event: "listening";
      /** An address, or the path of a Unix socket. */
      readonly address: string;
      readonly port?: number;
      /** Null: whatever a SOCKS client asks for. */
      readonly service: string | null;
    }
  | { readonly event: "lost" | "refused"; readonly service?: string; readonly code: string; readonly message: string }
  | { readonly event: "up" | "back" | "idle" };

/** Tells people on stderr, and programs that asked for it in JSON on stdout, one line for each event. */
export class Report {
  readonly #progress: Progress;
  readonly #json: boolean;
  readonly #told = new Set<string>();

  constructor(progress: Progress, json: boolean) {
    this.#progress = progress;
    this.#json = json;
  }

  /** `text`: what a person reads of it, if anything. */
  tell(event: ForwardEvent, text?: string): void {
    if (this.#json) process.stdout.write(`${printable(JSON.stringify({ v: 1, ...event }))}\n`);
    else if (text !== undefined) this.#progress.note(text);
  }

  /** That a service cannot be had, once for each and reason. */
  refused(service: string, error: SshnpError): void {
    const key = `${error.code} ${service}`;
    if (this.#told.has(key)) return;
    if (this.#told.size >= SERVICES_TOLD) this.#told.clear();
    this.#told.add(key);
    const next = error.next === undefined ? "" : ` ${error.next}`;
    this.tell(
      { event: "refused", service, code: error.code, message: error.message },
      `${error.message}${next} [${error.code}]`,
    );
  }

  /** A service is had: should it be refused later, that is told again. */
  granted(service: string): void {
    for (const key of this.#told) if (key.endsWith(` ${service}`)) this.#told.delete(key);
  }
}
