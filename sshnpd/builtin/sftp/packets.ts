import { ByteReader, concat } from "../../../keys/bytes.ts";
import { PeerError } from "../../../keys/errors.ts";
import { SFTP_PACKET_BYTES } from "../../../protocol/limits.ts";

/** Takes packets (draft-ietf-secsh-filexfer-02 section 3: u32 length || body) out of a stream of bytes. */
export class PacketReader {
  #held: Uint8Array = new Uint8Array(0);

  /** The bodies that are whole now. @throws {PeerError} E_PROTOCOL when one is empty or longer than 256 KiB. */
  push(bytes: Uint8Array): Uint8Array[] {
    let rest = this.#held.length === 0 ? bytes : concat(this.#held, bytes);
    const whole: Uint8Array[] = [];
    while (rest.length >= LENGTH_BYTES) {
      const length = new ByteReader(rest).u32();
      if (length === 0 || length > SFTP_PACKET_BYTES)
        throw new PeerError("E_PROTOCOL", "an SFTP packet of no fit length");
      if (rest.length < LENGTH_BYTES + length) break;
      whole.push(rest.subarray(LENGTH_BYTES, LENGTH_BYTES + length));
      rest = rest.subarray(LENGTH_BYTES + length);
    }
    this.#held = rest.slice();
    return whole;
  }
}

const LENGTH_BYTES = 4;
