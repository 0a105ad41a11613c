import * as v from "valibot";
import { fromBase64, utf8 } from "./bytes.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import { Ed25519PublicKey } from "./ed25519.ts";
import { ed25519Line } from "./openssh.ts";
import type { SignedText } from "./signed-text.ts";
import { parseSshsig, verifySshsig } from "./sshsig.ts";

/** The fields of a statement that say who may sign others. */
const handedOn = v.object({ owner: v.optional(v.string()), key: v.optional(v.string()) });

interface Kept {
  readonly namespace: string;
  readonly signer: string;
  readonly owner: string | undefined;
  readonly key: string | undefined;
}

/**
 * Whether each statement of a key file is signed, and by one for whom `owner` (an OpenSSH public key line) answers: himself,
 * an owner who handed the name on to him by rotations that are there, or, for bindings, the key of a delegation of theirs
 * that is there. It tells a whole file from a damaged one; what the statements mean, protocol/own-standing.ts judges.
 * @throws {SshnpError} when a signature does not verify; {PeerError} E_PROTOCOL.
 */
export function areAnsweredFor(suite: CipherSuite, owner: string, statements: readonly SignedText[]): boolean {
  const kept = statements.map((signed) => readKept(suite, signed));
  const owners = new Set([owner]);
  // Each round finds at least one owner more, or there is none left.
  for (let found = 0; found < owners.size; ) {
    found = owners.size;
    for (const { namespace, signer, owner: next } of kept) {
      if (namespace === "sshnp-rotation@v1" && next !== undefined && owners.has(next)) owners.add(signer);
    }
  }
  const delegated = new Set(
    kept.flatMap(({ namespace, signer, key }) =>
      namespace === "sshnp-delegation@v1" && owners.has(signer) && key !== undefined
        ? [ed25519Line(Ed25519PublicKey.parse(fromBase64(key, 32)))]
        : [],
    ),
  );
  return kept.every(
    ({ namespace, signer }) => owners.has(signer) || (namespace === "sshnp-binding@v1" && delegated.has(signer)),
  );
}

function readKept(suite: CipherSuite, { text, signature }: SignedText): Kept {
  const { namespace } = parseSshsig(signature);
  const signer = verifySshsig(suite, signature, namespace, utf8(text));
  const fields = v.safeParse(handedOn, parseJson(text));
  return {
    namespace,
    signer,
    owner: fields.success ? fields.output.owner : undefined,
    key: fields.success ? fields.output.key : undefined,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
