import { randomBytes } from "node:crypto";
import { DirectoryClient, readBrokerPlace, tryBroker } from "../directory/client.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import type { MemberKeys } from "../keys/end-key-files.ts";
import { SshnpError } from "../keys/errors.ts";
import { VERSION } from "../keys/version.ts";
import { parseDirectoryAddress } from "../protocol/directory-address.ts";
import type { DaemonOptions } from "./daemon.ts";
import { type Finding, fine, toFix } from "./finding.ts";

/**
 * Whether the broker of `--mqtt` lets this device in, by trying it. While a daemon runs with these keys that stops at TLS, for the
 * broker would end the daemon's connection.
 */
export async function* lookAtBroker(
  suite: CipherSuite,
  options: DaemonOptions,
  keys: MemberKeys,
  { isRunning, signal }: { readonly isRunning: boolean; readonly signal: AbortSignal },
): AsyncGenerator<Finding> {
  if (options.mqtt === undefined) return;
  const { url, ...flags } = options.mqtt;
  const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
  const client = new DirectoryClient({
    ...{ suite, random },
    address: options.directory ?? parseDirectoryAddress(keys.directory),
  });
  const { name, member, x25519: sender } = keys;
  const hello = { name, member, version: VERSION, names: [], policyHash: new Uint8Array(32) };
  try {
    const broker = await readBrokerPlace(url, flags);
    const link = { client, sender, hello, broker, isMetered: options.isMetered, signal };
    await tryBroker(link, { isElsewhere: isRunning });
    const { host } = broker.url;
    yield fine(
      "mqtt",
      isRunning
        ? `${host} answers; it is the daemon that runs which is connected there`
        : `${host} lets this device in, and takes its subscription; whether the directory is there, too, the daemon tells when it runs`,
    );
  } catch (error) {
    if (!(error instanceof SshnpError)) throw error;
    yield toFix("mqtt", error.message, error.next);
  }
}
