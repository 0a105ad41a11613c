/** A hole that somebody like us had, and the tests that try it here; reference: docs/threat-model.md. */
export interface Cve {
  readonly id: string;
  readonly peer: string;
  /** What went wrong there. */
  readonly cause: string;
  readonly where: readonly { readonly file: string; readonly test: string }[];
}

function cve(
  id: string,
  peer: string,
  cause: string,
  ...where: readonly (readonly [file: string, test: string])[]
): Cve {
  return { id, peer, cause, where: where.map(([file, test]) => ({ file, test })) };
}

const HERE = "adversaries/cves.test.ts";
const THIEVES = "adversaries/thieves.test.ts";
const STATEMENTS = "adversaries/directory-statements.test.ts";
const LOG = "adversaries/directory-log.test.ts";

export const CVES: readonly Cve[] = [
  cve(
    "CVE-2025-49825",
    "Teleport",
    "a certificate was taken as an authority",
    [THIEVES, "a token that a token has made binds a device, and the directory logs it"],
    [THIEVES, "a binding's own key binds another device, and the directory logs it"],
    ["directory/enrolment.test.ts", "neither a member nor a token makes tokens, revokes or rotates (CVE-2025-49825)"],
  ),
  cve(
    "CVE-2024-45337",
    "x/crypto/ssh (GHSA-v778)",
    "a key that was offered was taken for one that was proved",
    ["protocol/session.test.ts", "counts only if it is made with the key of the client's binding"],
    ["sshnpd/session.test.ts", "whoever has stolen the device's key can ask in anybody's name, and reaches nothing"],
    ["directory/activation.test.ts", "a member's binding counts only from the member itself"],
  ),
  cve(
    "hyperbridge #1225",
    "ssh2",
    "an Error that verify() returns is truthy",
    [HERE, "hyperbridge #1225, CVE-2025-26465: %s has one yes, and it is true"],
    [
      "keys/sshsig-token.test.ts",
      "ssh2's verify() returns an Error, which is truthy: only true is a yes for a signature by %s",
    ],
  ),
  cve(
    "CVE-2025-26465",
    "OpenSSH",
    "an error of the verifier was taken for a success",
    [HERE, "hyperbridge #1225, CVE-2025-26465: %s has one yes, and it is true"],
    ["keys/sshsig-token.test.ts", "CVE-2025-26465: whatever throws while a signature by %s is verified is a no"],
  ),
  cve(
    "CVE-2026-25793",
    "Nebula",
    "a block list of hashes was passed by the same certificate under another form of its signature",
    [HERE, "CVE-2026-25793: what is revoked stays revoked, in whatever form its signature comes"],
    ["keys/sshsig-token.test.ts", "CVE-2026-25793: a signature by %s is armored in one form only"],
  ),
  cve(
    "CVE-2026-42508",
    "x/crypto/ssh/knownhosts",
    "a revoked authority still vouched for others",
    [THIEVES, "a fleet token is used when its owner has revoked it"],
    ["sshnpd/own-statements.test.ts", "a delegation that made its binding must be the newest, too"],
  ),
  cve(
    "CVE-2025-3757",
    "openpubkey",
    "a token was verified in one reading and used in another",
    [HERE, "CVE-2025-3757, CVE-2025-4658: a statement has one reading, that of the bytes that were signed"],
    ["directory/http.test.ts", "statements that are not in canonical form are refused, whatever they would mean"],
  ),
  cve("CVE-2025-4658", "opkssh", "as CVE-2025-3757", [
    HERE,
    "CVE-2025-3757, CVE-2025-4658: a statement has one reading, that of the bytes that were signed",
  ]),
  cve(
    "CVE-2026-22703",
    "cosign",
    "the entry that was proved was not the one that was used",
    ["protocol/log/proof.test.ts", "so one subject's proof is none for another, even with the same statement"],
    [LOG, "the proofs are of other subjects"],
    [STATEMENTS, "a revocation is hidden behind a fresh checkpoint"],
  ),
  cve(
    "CVE-2026-49834",
    "sigstore-go",
    "one log was counted twice",
    ["protocol/log/checkpoint.test.ts", "of one key under two names count once, as the name is not signed"],
    ["protocol/log/proof.test.ts", "of which two are one key are one witness"],
  ),
  cve(
    "CVE-2026-56865",
    "Go's checksum database client",
    "tiles were not verified against their parents",
    ["directory/log-routes.test.ts", "such a reader refuses a log in which one entry is another one than was logged"],
    [LOG, "the heads are others than the log's last leaf says"],
  ),
  cve(
    "CVE-2026-56864",
    "Go's checksum database client",
    "hashes that nobody had asked for were believed",
    [LOG, "there is a proof too many"],
    ["protocol/log/proof.test.ts", "hashes are missing, or there are more of them"],
  ),
  cve(
    "CVE-2026-54787",
    "sigstore-go",
    "what was signed after its key's end counted",
    [HERE, "CVE-2026-54787: what a token makes counts when it was made before the token's end, and not after"],
    [
      "directory/keys.test.ts",
      "keys are rotated once a week; the previous ones serve another week, then they are gone",
    ],
  ),
  cve(
    "CVE-2024-45395",
    "sigstore-go",
    "a bundle of many entries kept its verifier busy for ever",
    [HERE, "CVE-2024-45395: the largest proofs and notes that are read at all are refused in moments"],
    ["protocol/log/note.test.ts", "refused for having 16 signatures, or whatever signatures they are"],
  ),
  cve(
    "CVE-2026-48113",
    "chisel",
    "access was settled at the handshake, and every later channel went through",
    ["protocol/policy/decide.test.ts", "each stream is decided by its own service, whatever was allowed before it"],
    ["sshnpd/session.test.ts", "thousands of refused streams leave nothing behind, and the next good one opens"],
  ),
  cve(
    "CVE-2026-40910",
    "frp",
    "the router and the checker read different fields",
    ["sshnpd/requests.test.ts", "the prologue has another %s than msg1 was made with"],
    ["directory/session.test.ts", "a request counts only from the client that it names, whatever device it is for"],
  ),
  ...["GO-2026-5815", "CVE-2026-53602", "CVE-2026-61699", "CVE-2026-55513", "GO-2026-5399"].map((id) =>
    cve(
      id,
      "nebula-mesh",
      "five together: replays were forgotten, revocations not kept or not enforced, a token's end ignored, tokens readable",
      [
        "directory/freshness.test.ts",
        "a message that was recorded does not count after a restart either, by time or by nonce",
      ],
      ["directory/link.test.ts", "a hello that was recorded opens no second link, not even after a restart"],
      [
        "directory/enrolment.test.ts",
        "those who wait are capped for each name, and none of them is evicted (GO-2026-5815)",
      ],
      [HERE, "nebula-mesh, CVE-2026-53602: a revocation outlives the directory"],
      [
        "directory/enrolment.test.ts",
        "revoked, it makes nothing, after a restart neither (CVE-2026-53602, CVE-2026-55513)",
      ],
      ["sshnpd/link-events.test.ts", "ends them when it is revoked, and it begins no other"],
      [HERE, "nebula-mesh, CVE-2026-55513: a token that has expired makes nothing, before and after a restart"],
      [
        "directory/enrolment.test.ts",
        "used, expired, rotated away or never given, it lets nobody wait, after a restart neither (CVE-2026-61699)",
      ],
      ["directory/activation.test.ts", "no secret is in the data folder, in whatever form"],
    ),
  ),
  ...["CVE-2025-44005", "CVE-2025-66406", "CVE-2026-30836"].map((id) =>
    cve(id, "step-ca", "ways to enrol asked for no authorisation", [
      "directory/enrolment.test.ts",
      "nobody is let in without the owner's word (CVE-2025-44005, CVE-2025-66406, CVE-2026-30836)",
    ]),
  ),
  ...["CVE-2026-44423", "CVE-2026-44424", "CVE-2026-44426"].map((id) =>
    cve(id, "ShellHub", "one tenant read and changed another's objects by their ids", [
      HERE,
      "CVE-2026-44423, CVE-2026-44424, CVE-2026-44426: nobody reads or changes another name's, nor learns whether it is there",
    ]),
  ),
  cve(
    "CVE-2026-44425",
    "ShellHub",
    "a field of a request ended the server",
    [
      "directory/http.test.ts",
      "any body inside an authentic message is answered with a frame, whatever the message is said to be",
    ],
    ["protocol/policy/parse.test.ts", "keys that would change every object change none, and are refused"],
  ),
  cve("CVE-2026-40304", "zrok", "who owned an object was not asked when it was ended", [
    "directory/wait.test.ts",
    "the client that waits can withdraw, and nobody else",
  ]),
  cve(
    "Teleport 14.3.36",
    "Teleport",
    "a cluster's name was not held against its authority",
    [STATEMENTS, "a device has the statements of another name"],
    [HERE, "Teleport 14.3.36: an owner speaks for his own name, and what he signs for another one is nobody's"],
  ),
  cve("CVE-2025-10678", "NetBird", "a default password stayed", [
    HERE,
    "CVE-2025-10678: a directory that is new lets nobody in",
  ]),
  cve(
    "CVE-2024-1709",
    "ScreenConnect",
    "the set-up could be entered once more",
    ["directory/activation.test.ts", "an activated name gets no second secret"],
    [THIEVES, "a one-time secret is used once more, with keys of the thief's"],
  ),
  cve(
    "headscale #2731",
    "headscale",
    "somebody else's key was registered anew",
    [THIEVES, "a key that is bound already is bound to another name"],
    [
      "directory/activation.test.ts",
      "a key that is bound already is not bound again, whatever role and name it is for",
    ],
  ),
  cve("TS-2025-007", "Tailscale", "a key for one use was used at once by several", [
    "directory/activation.test.ts",
    "of 100 parallel activations with one secret exactly one wins",
  ]),
  ...["TS-2022-004", "TS-2022-005"].map((id) =>
    cve(
      id,
      "Tailscale",
      "a page in a browser reached the local daemon",
      ["e2e/daemon.test.ts", "it listens on nothing, and its log is JSON without secrets"],
      ["directory/link.test.ts", "a page in a browser gets no link"],
      ["rendezvous/server.test.ts", "a WebSocket is taken at /v1/leg alone, and not from a page in a browser"],
    ),
  ),
];
