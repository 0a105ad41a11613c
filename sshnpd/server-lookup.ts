import { type LookupAddress, lookup as systemLookup } from "node:dns";
import type { LookupFunction } from "node:net";
import { SERVER_LOOKUPS } from "../protocol/limits.ts";

/**
 * Looks the name of a server up, all its addresses, for net.connect(). `localhost` is both loopback addresses, whatever the system's
 * files say (RFC 6761 section 6.3). No more than SERVER_LOOKUPS run at once: each holds a thread that files and everything else
 * wait for as well, for as long as a name server does not answer, and a client names what it likes.
 */
export class ServerLookup {
  readonly #look: Look;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(look: Look = systemLook) {
    this.#look = look;
  }

  /** For the option `lookup`. */
  readonly lookup: LookupFunction = (host, options, callback) => {
    const answer = (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[] | undefined): void => {
      const first = addresses?.[0]; // there are none with an error, whatever the types say
      if (error !== null || first === undefined) callback(error ?? new Error("it has no address"), "");
      else if (options.all === true) callback(null, [...(addresses ?? [])]);
      else callback(null, first.address, first.family);
    };
    if (host === "localhost") return answer(null, LOOPBACK);
    const begin = (): void => {
      this.#running++;
      this.#look(host, (error, addresses) => {
        this.#running--;
        this.#waiting.shift()?.();
        answer(error, addresses);
      });
    };
    if (this.#running < SERVER_LOOKUPS) begin();
    else this.#waiting.push(begin);
  };
}

/** All addresses of a name. */
export type Look = (
  host: string,
  callback: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[] | undefined) => void,
) => void;

const systemLook: Look = (host, callback) => systemLookup(host, { all: true }, callback);

const LOOPBACK: readonly LookupAddress[] = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
];

/** The one of this process, so that its bound holds for all who look names up. */
export const { lookup: boundedLookup } = new ServerLookup();
