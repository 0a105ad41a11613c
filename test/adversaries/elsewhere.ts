/** A claim of an adversary that another test refutes; this file points to it, so that nothing is written twice. */
export interface Elsewhere {
  readonly adversary: string;
  readonly claim: string;
  /** What it is refused with there; undefined: it comes to nothing without a word, or ends the path. */
  readonly code: string | undefined;
  readonly evidence: boolean;
  /** Below test/. */
  readonly file: string;
  /** The name of the test, verbatim as it stands in the file; of test/attacks, of the attack. */
  readonly test: string;
}

type Pointer = readonly [claim: string, outcome: string | undefined, file: string, test: string];

function pointers(adversary: string, rows: readonly Pointer[]): Elsewhere[] {
  return rows.map(([claim, outcome, file, test]) => {
    const [code, evidence] = outcome?.split(" + ") ?? [];
    return { adversary, claim, code, evidence: evidence === "evidence", file, test };
  });
}

/** Each outcome is a code, with "+ evidence" where the victim can convict. */
export const ELSEWHERE: readonly Elsewhere[] = [
  ...pointers("directory", [
    [
      "the device's name is another owner's, in the store itself",
      "E_OWNER_KEY",
      "e2e/wrong-state.test.ts",
      "of the device's: the client knows another one",
    ],
    [
      "the client's name is another owner's, in the store itself",
      "E_OWNER_KEY",
      "e2e/wrong-state.test.ts",
      "of the client's: the device knows another one",
    ],
    [
      "the ends are given different tickets",
      "E_TICKET",
      "protocol/session.test.ts",
      "is refused by the client when the device was given another ticket",
    ],
    [
      "a client brings a checkpoint of another tree, as the directory has shown it one",
      "E_LOG + evidence",
      "sshnpd/link-events.test.ts",
      "a checkpoint that a client brings of another tree of the same size is evidence, and the request is refused",
    ],
    [
      "another directory answers at the address",
      "E_DIRECTORY_KEY",
      "e2e/wrong-state.test.ts",
      "a directory with another key than its address says",
    ],
    [
      "a store from an old backup is started",
      "E_LOG",
      "directory/log-checkpoint-file.test.ts",
      "a store from an old backup is refused with both sizes and what to do, until it is accepted, once",
    ],
    [
      "a log keeps a statement out of its map from everybody alike",
      "E_LOG",
      "protocol/log/proof.test.ts",
      "so a log that keeps it out of its map shows everybody else the same, until its subject looks",
    ],
  ]),
  ...pointers("rendezvous", [
    [
      "it keeps what it copies and reads in it",
      undefined,
      "e2e/availability.test.ts",
      "what the rendezvous copies shows neither SSH nor a name nor anything that was said",
    ],
    ["it swaps, reflects and cross-splices legs", "E_TRUNCATED", "attacks/crossed-legs.ts", "crossed-legs"],
    [
      "it answers legs itself, in every wrong way",
      "E_RENDEZVOUS",
      "attacks/hostile-rendezvous.ts",
      "hostile-rendezvous",
    ],
    ["it changes bytes", "E_TRUNCATED", "attacks/flipped-bits.ts", "flipped-bits"],
    [
      "it puts records of its own between those of a session",
      "E_TRUNCATED",
      "attacks/garbage-in-session.ts",
      "garbage-in-session",
    ],
    ["it plays back hellos that it has seen", undefined, "attacks/replayed-hellos.ts", "replayed-hellos"],
    [
      "it plays back another session's records",
      undefined,
      "sshnpd/session.test.ts",
      "records of another session of the same client are not taken",
    ],
    [
      "it cuts a session short",
      "E_TRUNCATED",
      "e2e/session.test.ts",
      "a path that breaks is told as that, and not as an end",
    ],
  ]),
  ...pointers("client with an account", [
    ["it asks for another service", "E_DEVICE_REFUSED", "sshnpd/requests.test.ts", "another service than ssh"],
    [
      "it asks for another service in a session that was granted, ten thousand times",
      "refused",
      "sshnpd/session.test.ts",
      "thousands of refused streams leave nothing behind, and the next good one opens",
    ],
    [
      "it asks for a login that no policy grants",
      "E_DEVICE_REFUSED",
      "protocol/policy/decide.test.ts",
      "it decides as a plain reading of the policy does, and ends when no grant goes on",
    ],
    [
      "it asks a device that does not list it",
      "E_DEVICE_REFUSED",
      "e2e/daemon.test.ts",
      "a client that is not listed is refused by the device itself, and told what to do there",
    ],
    [
      "it asks in another client's name",
      "E_NOT_AUTHORIZED",
      "directory/session.test.ts",
      "a request counts only from the client that it names, whatever device it is for",
    ],
    [
      "it asks with another's session id",
      "E_PROTOCOL",
      "directory/session.test.ts",
      "another request with a session id that is taken is refused",
    ],
    [
      "it withdraws another's request",
      undefined,
      "directory/wait.test.ts",
      "the client that waits can withdraw, and nobody else",
    ],
    ["it asks without end", "E_BUSY", "attacks/request-flood.ts", "request-flood"],
    ["it sends again what was sent", "E_PROTOCOL", "attacks/replayed-messages.ts", "replayed-messages"],
  ]),
  ...pointers("device", [
    [
      "its reasons have control characters",
      "E_DEVICE_REFUSED",
      "sshnp/refusal-texts.test.ts",
      "what a device says is escaped and marked as its own",
    ],
    [
      "it has other host keys",
      "E_HOST_KEY",
      "e2e/wrong-state.test.ts",
      "is refused with both fingerprints until exactly the new keys are accepted",
    ],
    ["it answers at any length, and in another's place", "E_PROTOCOL", "attacks/hostile-link.ts", "hostile-link"],
    [
      "it turns what was accepted as its host key into an owner key",
      "E_OWNER_KEY",
      "protocol/peers.test.ts",
      "gets no other owner key by what was accepted as host key of one of its members",
    ],
  ]),
  ...pointers("thief", [
    [
      "of a device's key: he asks it in an administrator's name",
      undefined,
      "sshnpd/session.test.ts",
      "whoever has stolen the device's key can ask in anybody's name, and reaches nothing",
    ],
    [
      "of a device's key: he makes pins",
      undefined,
      "sshnpd/requests.test.ts",
      "pins and writes nothing, for its client has proved nothing yet",
    ],
    [
      "of a one-time secret: a hundred of him at once",
      "E_CRAM_USED",
      "directory/activation.test.ts",
      "of 100 parallel activations with one secret exactly one wins",
    ],
    [
      "of a device's key: he runs a second machine with it",
      "E_REPLACED",
      "e2e/daemon.test.ts",
      "a second one on another machine takes over; the first says so and ends",
    ],
    [
      "of the owner key from before a rotation",
      "E_OWNER_KEY",
      "sshnpd/own-statements.test.ts",
      "nothing goes back to the owner key before, also after a restart: whoever has stolen that says nothing any more",
    ],
  ]),
];
