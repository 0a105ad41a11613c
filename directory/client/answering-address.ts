import type { SignedText } from "../../keys/signed-text.ts";
import type { DirectoryAddress } from "../../protocol/directory-address.ts";
import { readKeyList } from "./read-key-list.ts";

/** The DirectoryClient. */
interface Client {
  readonly address: DirectoryAddress;
  readonly warn: (text: string) => void;
  acceptKeyList(signed: SignedText): unknown;
}

/**
 * The IP address, as Node prints it, from which the directory's key list comes now; undefined where a proxy alone knows it. For who
 * has no connection to the directory itself. The process may end meanwhile. @throws as DirectoryClient.keyList.
 */
export async function answeringAddress(client: Client, signal: AbortSignal): Promise<string | undefined> {
  const { address, warn } = client;
  let answering: string | undefined;
  const onAnswered = (from: string | undefined): void => void (answering = from);
  const signed = await readKeyList(address.url, { signal, isBackground: true, warn, onAnswered });
  client.acceptKeyList(signed);
  return answering;
}
