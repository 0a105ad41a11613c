import { concat } from "../keys/bytes.ts";

/**
 * Watches the part of an SSH connection that is not encrypted yet, to tell afterwards how far it came: the client
 * sends NEWKEYS (RFC 4253 section 7.3) once it has accepted the server's host key, and not before.
 */
export class SshWatch {
  #serverBytes = 0;
  #encryptedBytes = 0;
  #clientSentNewKeys = false;
  #unread: Uint8Array = new Uint8Array(0);
  #client: "banner" | "packets" | "done" = "banner";

  /** Whether the server has said anything. */
  get serverSpoke(): boolean {
    return this.#serverBytes > 0;
  }

  /**
   * Whether the connection looks like one whose host key was accepted and whose user was not: encrypted, with no more
   * from the server than refusals take. (A long banner ahead of the refusal hides it; then ssh's own words must do.)
   */
  get mayHaveBeenRefused(): boolean {
    return this.#clientSentNewKeys && this.#encryptedBytes <= AUTHENTICATION_BYTES;
  }

  /** Whether the server has said more since then than it says to one whom it does not let in. A long banner looks so, too. */
  get mayHaveBeenLetIn(): boolean {
    return this.#encryptedBytes > AUTHENTICATION_BYTES;
  }

  fromServer(chunk: Uint8Array): void {
    this.#serverBytes += chunk.length;
    if (this.#clientSentNewKeys) this.#encryptedBytes += chunk.length;
  }

  fromClient(chunk: Uint8Array): void {
    if (this.#client === "done") return;
    this.#unread = this.#unread.length === 0 ? chunk : concat(this.#unread, chunk);
    if (this.#client === "banner") this.#readBanner();
    if (this.#client === "packets") this.#readPackets();
    if (this.#unread.length > MAX_PACKET_BYTES) this.#finish(); // no SSH client
  }

  #readBanner(): void {
    const end = this.#unread.indexOf(NEWLINE);
    if (end < 0) return;
    this.#unread = this.#unread.subarray(end + 1);
    this.#client = "packets";
  }

  #readPackets(): void {
    while (this.#unread.length >= 6) {
      const length = new DataView(this.#unread.buffer, this.#unread.byteOffset).getUint32(0);
      if (length > MAX_PACKET_BYTES) return this.#finish();
      if (this.#unread.length < 4 + length) return;
      if (this.#unread[5] === NEWKEYS) {
        this.#clientSentNewKeys = true;
        return this.#finish();
      }
      this.#unread = this.#unread.subarray(4 + length);
    }
  }

  #finish(): void {
    this.#client = "done";
    this.#unread = new Uint8Array(0);
  }
}

const NEWLINE = 0x0a;
const NEWKEYS = 21;
/** RFC 4253 section 6.1: 35,000; nothing of the key exchange is near it. */
const MAX_PACKET_BYTES = 35_000;
/** Of OpenSSH 9.2: six refused keys take 530 bytes, the shortest session that was let in 860. */
const AUTHENTICATION_BYTES = 800;
