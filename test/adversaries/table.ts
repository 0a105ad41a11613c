/** Who cheats, what he claims, and what an honest end says to it. The claim is the name of the test; run.ts has each row run. */
export interface Row {
  readonly adversary: string;
  readonly claim: string;
  /** What it is refused with; undefined: it comes to nothing without a word. */
  readonly code: string | undefined;
  /** Whether the victim keeps two signed notes that convict the directory's log. */
  readonly evidence: boolean;
  /** In this folder, where the row is run. */
  readonly file: string;
}

const DIRECTORY = "directory";

function rows(file: string, adversary: string, claims: Readonly<Record<string, string | undefined>>): Row[] {
  return Object.entries(claims).map(([claim, outcome]) => {
    const [code, evidence] = outcome?.split(" + ") ?? [];
    return { adversary, claim, code, evidence: evidence === "evidence", file };
  });
}

/** Each outcome is a code, with "+ evidence" where the victim can convict. */
export const TABLE: readonly Row[] = [
  ...rows("directory-statements.test.ts", DIRECTORY, {
    "a device's key is swapped for one that the directory has bound itself, and logged": "E_STATEMENT",
    "a device's binding has another key under its owner's true signature": "E_STATEMENT",
    "a device has the statements of another name": "E_STATEMENT",
    "a device has the binding of another member of its name": "E_STATEMENT",
    "a name that the client has pinned has an owner of the directory's, logged": "E_OWNER_KEY",
    "a name whose fingerprint was given has an owner of the directory's, logged": "E_OWNER_KEY",
    "a revocation is hidden behind a fresh checkpoint": "E_LOG",
    "a revocation is hidden by a log that never had it, from who has seen a longer one": "E_LOG",
    "a revocation is hidden by a log of the same size that has something else": "E_LOG + evidence",
    "a ticket is signed by a key of no list": "E_TICKET",
    "a ticket names other addresses than the rendezvous has": "E_TICKET",
    "a rendezvous has a statement that the root key has not signed": "E_STATEMENT",
    "a rendezvous has a root-signed statement that is not in the log": "E_LOG",
    "the binding from before a revocation comes back, logged, to who has seen the one after it": "E_MEMBER_KEY",
    "the binding from before a revocation comes back, not logged": "E_MEMBER_KEY",
  }),
  ...rows("enrolments.test.ts", DIRECTORY, {
    "it makes up an enrolment, with a password of its own": "E_STATEMENT",
    "it makes up an enrolment, with an owner's password and other keys than asked": "E_STATEMENT",
    "it shows one who asked with a password of a former owner key, which a thief has": undefined,
    "it shows one who asked with a password that ended long ago": undefined,
    "it shows a second machine with a password that was used in an earlier run": undefined,
    "it shows a machine again that its owner has sent away": undefined,
    "it shows keys for a member that its owner has revoked": undefined,
    "it shows by its name a machine whose password was used by another one": "E_TOKEN",
  }),
  ...rows("devices.test.ts", "device", {
    "its refusal has escape sequences and line ends": "E_DEVICE_REFUSED",
    "its answer is as long as an answer may be, and none": "E_PROTOCOL",
    "its answer is that to another request": "E_PROTOCOL",
    "its answer goes with another ticket": "E_TICKET",
    "its host keys are no keys": "E_PROTOCOL",
    "it presents other host keys than it did": "E_HOST_KEY",
    "it opens a stream towards its client": "E_PROTOCOL",
    "it cuts the session short": "E_TRUNCATED",
  }),
  ...rows("members.test.ts", "member", {
    "a listed client asks for another service": "E_DEVICE_REFUSED",
    "a client asks with the id of a session that is another's": "E_PROTOCOL",
    "a client asks in the name of another, with its own key": "E_NOT_AUTHORIZED",
    "a client that nobody lists asks": "E_DEVICE_REFUSED",
    "a client asks for a device of another name as one of this": "E_UNKNOWN_NAME",
    "the thief of a device's key asks it in an administrator's name, and the directory lets him": "E_PROTOCOL",
  }),
  ...rows("thieves.test.ts", "thief", {
    "a one-time secret is used once more, with keys of the thief's": "E_CRAM_USED",
    "a fleet token replaces the keys of a device that is there": "E_TOKEN",
    "a fleet token replaces the keys of a device that is there, and the directory logs it": "E_STATEMENT",
    "a fleet token makes a device beyond its pattern": "E_TOKEN",
    "a fleet token makes a device beyond its pattern, and the directory logs it": "E_STATEMENT",
    "a fleet token for devices makes a client": "E_TOKEN",
    "a fleet token makes another token": "E_NOT_AUTHORIZED",
    "a token that a token has made binds a device, and the directory logs it": "E_STATEMENT",
    "a binding's own key binds another device, and the directory logs it": "E_STATEMENT",
    "a fleet token is used more often than it may": "E_TOKEN",
    "a fleet token is used when its owner has revoked it": "E_REVOKED",
    "a key that is bound already is bound to another name": "E_MEMBER_KEY",
    "a whole old data folder is put back, log and checkpoint with it": "E_LOG",
  }),
  ...rows("directory-to-device.test.ts", DIRECTORY, {
    "a device that was there before is shown another log of the same size": "E_LOG + evidence",
    "a device that was there before is shown a smaller log": "E_LOG",
    "a device is shown a log of another key": "E_LOG",
    "a device is proved other subjects than it is told of": "E_LOG",
    "a policy of its name is hidden from a device": "E_LOG",
    "a device that is linked is shown a smaller log with a request": "E_LOG",
    "a client's revocation is hidden from the device, and its thief let through": "E_LOG",
  }),
  ...rows("directory-to-owner.test.ts", DIRECTORY, {
    "a revocation is left out, and another member named twice in its place": "E_STATEMENT",
    "a name has another owner, logged, for who reads as a member, as the owner, or watches it": "E_OWNER_KEY",
    "a revocation is taken back behind its owner's back, logged": "E_LOG",
    "statements that were acknowledged are gone, and with them what the owner's machine remembers": "E_LOG",
    "a member is shown once more as waiting, and its owner deletes it": undefined,
  }),
  ...rows("directory-to-owner.test.ts", "thief", {
    "what a fleet token was not given for is logged, and its owner revokes the token": undefined,
    "of the owner key from before a rotation: he has a policy logged behind the owner's": "E_STATEMENT",
  }),
  ...rows("directory-log.test.ts", DIRECTORY, {
    "the log is another one of the same size than before": "E_LOG + evidence",
    "the log has grown from another one than was seen before": "E_LOG",
    "the log is smaller, as after an old backup": "E_LOG",
    "the checkpoint is of a log with another origin": "E_LOG",
    "the checkpoint is signed by another key": "E_LOG",
    "the proofs are of other subjects": "E_LOG",
    "there is a proof too few": "E_LOG",
    "there is a proof too many": "E_LOG",
    "the heads are others than the log's last leaf says": "E_LOG",
    "client and device are shown two logs, which is seen at their first handshake": "E_LOG + evidence",
    "an activation is acknowledged and the directory's own key is logged": "E_LOG",
    "an activation is acknowledged and nothing is logged": "E_LOG",
  }),
  ...rows("split-view.test.ts", DIRECTORY, {
    "client and device are shown two logs, and the tiles are the device's: the client cannot have it proved": "E_LOG",
    "client and device are shown two logs, and the tiles are the client's: the client cannot have it proved": "E_LOG",
    "client and device are shown two logs, and the tiles are the device's: the device cannot have it proved": "E_LOG",
    "client and device are shown two logs, and the tiles are the client's: the device cannot have it proved": "E_LOG",
    "client and device ask at two doors, each with its own log and tiles: the client cannot have it proved": "E_LOG",
    "client and device ask at two doors, each with its own log and tiles: the device cannot have it proved": "E_LOG",
    "client and device are shown two logs, and no tiles that would show it: the client has nothing proved":
      "E_DIRECTORY",
    "client and device are shown two logs, and no tiles that would show it: the device has nothing proved":
      "E_DIRECTORY",
  }),
  ...rows("refusing-directory.test.ts", DIRECTORY, {
    "it refuses every request of a client, as if its log did not hold": "E_LOG",
    "it refuses every request of a client that would wait, as if its log did not hold": "E_LOG",
    "it refuses a device that comes up, as if its log did not hold": "E_LOG",
    "it refuses a device that was linked, again and again, as if its log did not hold": "E_LOG",
  }),
];
