import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import type { Kem } from "../../keys/cipher-suite.ts";
import { assert, PeerError } from "../../keys/errors.ts";
import { KEM_CIPHERTEXT_BYTES, KEM_PUBLIC_KEY_BYTES } from "../limits.ts";

/**
 * ML-KEM-768 (FIPS 203) by noble. JavaScript promises no constant time, so a key opens one ciphertext and is
 * erased: an attacker has nothing to average over.
 */
export const mlKem768: Kem = {
  keyPair: (seed) => {
    const { publicKey, secretKey } = ml_kem768.keygen(seed);
    let used = false;
    return {
      publicKey,
      decapsulate: (ciphertext) => {
        assert(!used, "a KEM key pair is used once");
        if (ciphertext.length !== KEM_CIPHERTEXT_BYTES) {
          throw new PeerError("E_PROTOCOL", "an ML-KEM-768 ciphertext is 1088 bytes");
        }
        used = true;
        const sharedSecret = ml_kem768.decapsulate(ciphertext, secretKey);
        secretKey.fill(0);
        return sharedSecret;
      },
    };
  },
  encapsulate: (publicKey, randomness) => {
    assert(randomness.length === 32, "encapsulation takes 32 random bytes");
    if (publicKey.length !== KEM_PUBLIC_KEY_BYTES) {
      throw new PeerError("E_PROTOCOL", "an ML-KEM-768 encapsulation key is 1184 bytes");
    }
    try {
      const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey, randomness);
      return { ciphertext: cipherText, sharedSecret };
    } catch (cause) {
      throw new PeerError("E_PROTOCOL", "not an ML-KEM-768 encapsulation key", { cause });
    }
  },
};
