import type { CipherSuite } from "../../keys/cipher-suite.ts";
import type { ChaCha20Poly1305 } from "../../protocol/suite/counter-aead.ts";
import { nativeChaCha20Poly1305, nativeSuite } from "../../protocol/suite/native.ts";
import { nobleChaCha20Poly1305, nobleSuite } from "../../protocol/suite/noble.ts";

/** Both cipher suites, for tests that hold for each. */
export const SUITES: readonly CipherSuite[] = [nativeSuite, nobleSuite];

/** What their AEADs are made of, open to nonces that are no counters. */
export const CIPHERS: readonly { name: string; cipher: (key: Uint8Array) => ChaCha20Poly1305 }[] = [
  { name: "native", cipher: nativeChaCha20Poly1305 },
  { name: "noble", cipher: nobleChaCha20Poly1305 },
];
