import * as fc from "fast-check";
import { expect, test } from "vitest";
import { concat, utf8 } from "../../keys/bytes.ts";
import { SshWatch } from "../../protocol/ssh-watch.ts";

const NEWKEYS = packet(21);
const KEY_EXCHANGE = concat(utf8("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), packet(20, 1500), packet(30, 1200));

test("a connection in which the client never took the server's host key was not refused by sshd", () => {
  const watch = new SshWatch();
  watch.fromServer(utf8("SSH-2.0-OpenSSH_9.2p1\r\n"));
  watch.fromClient(KEY_EXCHANGE);
  expect(watch.serverSpoke).toBe(true);
  expect(watch.mayHaveBeenRefused).toBe(false);
});

test("one that ends shortly after it was encrypted may have been", () => {
  const watch = new SshWatch();
  watch.fromClient(concat(KEY_EXCHANGE, NEWKEYS));
  watch.fromServer(new Uint8Array(530));
  expect(watch.mayHaveBeenRefused).toBe(true);
});

test("one in which the server had more to say was not", () => {
  const watch = new SshWatch();
  watch.fromServer(new Uint8Array(60_000)); // ahead of the encryption it does not count
  watch.fromClient(concat(KEY_EXCHANGE, NEWKEYS));
  expect(watch.mayHaveBeenRefused).toBe(true);
  watch.fromServer(new Uint8Array(860));
  expect(watch.mayHaveBeenRefused).toBe(false);
});

test("how the bytes are cut makes no difference", () => {
  const whole = concat(KEY_EXCHANGE, NEWKEYS, new Uint8Array(100).fill(7));
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: whole.length }), { maxLength: 40 }), (cuts) => {
      const watch = new SshWatch();
      let from = 0;
      for (const to of [...cuts.sort((a, b) => a - b), whole.length]) {
        watch.fromClient(whole.slice(from, to));
        from = to;
      }
      expect(watch.mayHaveBeenRefused).toBe(true);
    }),
  );
});

test("bytes that are no SSH are neither kept nor taken for it", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 20_000 }), { maxLength: 20 }), (chunks) => {
      const watch = new SshWatch();
      for (const chunk of chunks) watch.fromClient(chunk);
      watch.fromServer(new Uint8Array(1));
      expect(watch.serverSpoke).toBe(true);
    }),
  );
});

/** An SSH packet ahead of encryption (RFC 4253 section 6): length, padding length, type, body. */
function packet(type: number, body = 10): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, body + 2);
  return concat(length, Uint8Array.of(4, type), new Uint8Array(body).fill(9));
}
