/**
 * What the store holds, by the beginnings of its keys; every value is JSON.
 *
 * ```
 * name:@acme               added, activation key, the newest statements on the name
 * member:@acme/MEMBER      the keys of its newest binding, that binding, the newest statement on it, its delegation
 * delegation:@acme/ID      the newest statement on it, the delegation itself, how many members it has made
 * policy:@acme             the newest policy
 * statement:SUBJECT SEQ    every statement that ever stood on a subject
 * password:@acme/HEX       a one-time password by its public key, its end, whether it was used
 * enrolment:@acme/MEMBER   who waits for the owner, and what shows that it was asked for
 * key:BASE64               whose key that is: @acme/MEMBER, @acme:delegation:ID or rendezvous:NAME
 * rendezvous:NAME          added, activation key, statement, whether activated
 * report:NAME              boot, load, state, region and time of its last report
 * seen:@acme/MEMBER        when its link was last alive
 * presence:@acme/MEMBER    which directory of several has its link, which one, since when, its version
 * distances:@acme/MEMBER   what its device has measured of rendezvous, by the link of its presence
 * id:HEX, nonce:HEX        until when a message id is remembered, a nonce accepted
 * witness:NAME           added, URL, verifier key
 * wake:@acme/MEMBER        a device that waits at an MQTT broker: its last hello, and what it was told since then
 * wakewatch:WHAT DEVICE    that such a device hears what changes: WHAT is an @acme or an @acme/MEMBER
 * audit:DIRECTORY          the newest line of a directory's audit that the log holds
 * audit-owed:DIRECTORY/N   a statement in the log whose line may not be in that audit yet
 * meta:KEY                 a value of the directory's own
 * ```
 */
import * as v from "valibot";
import { UnavailableError } from "../keys/errors.ts";
import { signedTextSchema } from "../keys/signed-text.ts";
import { RENDEZVOUS_CONNECTIONS, WITNESS_URL_BYTES } from "../protocol/limits.ts";
import { isRegion } from "../protocol/region.ts";
import type { Operation } from "./database.ts";

export interface Table<T> {
  readonly prefix: `${string}:`;
  readonly schema: v.GenericSchema<unknown, T>;
}

const time = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const activatable = { added: time, activationKey: v.string() };

export const NAMES = tableOf("name:", v.strictObject({ ...activatable, statements: v.array(signedTextSchema) }));
export const MEMBERS = tableOf(
  "member:",
  v.strictObject({
    role: v.picklist(["client", "device"]),
    x25519: v.string(),
    ed25519: v.string(),
    expires: v.nullable(time),
    binding: signedTextSchema,
    newest: signedTextSchema,
    delegation: v.nullable(v.string()),
  }),
);
export const DELEGATIONS = tableOf(
  "delegation:",
  v.strictObject({ delegation: signedTextSchema, newest: signedTextSchema, made: count }),
);
export const PASSWORDS = tableOf(
  "password:",
  v.strictObject({ password: signedTextSchema, expires: time, isUsed: v.boolean() }),
);
export const ENROLMENTS = tableOf(
  "enrolment:",
  v.strictObject({
    role: v.picklist(["client", "device"]),
    x25519: v.string(),
    ed25519: v.string(),
    password: signedTextSchema,
    nonce: v.string(),
    requested: time,
    passwordSignature: v.string(),
    ownSignature: v.string(),
  }),
);
export const POLICIES = tableOf("policy:", signedTextSchema);
export const STATEMENTS = tableOf("statement:", signedTextSchema);
export const KEYS = tableOf("key:", v.string());
export const RENDEZVOUS = tableOf(
  "rendezvous:",
  v.strictObject({ ...activatable, statement: v.nullable(signedTextSchema), isActivated: v.boolean() }),
);
/** Versions before said boot, legs and time alone. */
export const REPORTS = tableOf(
  "report:",
  v.strictObject({
    ...{ boot: v.string(), legs: count, time },
    most: v.optional(count, RENDEZVOUS_CONNECTIONS),
    isDraining: v.optional(v.boolean(), false),
    region: v.optional(v.pipe(v.string(), v.check(isRegion)), ""),
  }),
);
export const SEEN = tableOf("seen:", time);
export const PRESENCES = tableOf(
  "presence:",
  v.strictObject({ replica: v.string(), link: v.string(), since: time, version: v.string() }),
);
/** Distances as encodeDistances writes them; of no meaning with another link than this one. */
export const DISTANCES = tableOf("distances:", v.strictObject({ link: v.string(), distances: v.string() }));
export const IDS = tableOf("id:", time);
export const NONCES = tableOf("nonce:", time);
export const WITNESSES = tableOf(
  "witness:",
  v.strictObject({ added: time, url: v.pipe(v.string(), v.maxLength(WITNESS_URL_BYTES)), verifierKey: v.string() }),
);
const bytes = v.string();
export const WAKES = tableOf(
  "wake:",
  v.strictObject({
    ...{ epoch: bytes, nonce: bytes, connection: bytes, device: bytes, recipient: bytes },
    ...{
      sent: count,
      heard: count,
      heardDistances: count,
      distances: bytes,
      keyListSeq: count,
      checkpointSize: count,
      policyHash: bytes,
    },
    ...{ names: v.array(v.string()), clients: v.array(v.string()) },
    ...{ since: time, version: v.string(), isAway: v.boolean() },
  }),
);
export const WAKE_WATCHES = tableOf("wakewatch:", v.literal(1));
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
export const AUDITS = tableOf("audit:", v.strictObject({ n: count, hash: sha256 }));
export const AUDIT_OWED = tableOf(
  "audit-owed:",
  v.strictObject({ event: v.string(), subject: v.string(), index: count, hash: sha256 }),
);
export const META = tableOf("meta:", signedTextSchema);

/** All of them, for whoever checks what may stand in an entry. */
export const TABLES: readonly Table<unknown>[] = [
  ...[
    RENDEZVOUS,
    REPORTS,
    WITNESSES,
    ENROLMENTS,
    SEEN,
    PRESENCES,
    DISTANCES,
    IDS,
    NONCES,
    META,
    DELEGATIONS,
    MEMBERS,
    POLICIES,
    NAMES,
    STATEMENTS,
    PASSWORDS,
    KEYS,
    WAKES,
    WAKE_WATCHES,
    AUDITS,
    AUDIT_OWED,
  ],
];

export function put<T>({ prefix }: Table<T>, key: string, value: T): Operation {
  return { type: "put", key: prefix + key, value: JSON.stringify(value) };
}

/** The value of an entry. @throws {UnavailableError} E_STORAGE when it is none that was written here. */
export function parseEntry<T>({ schema, prefix }: Table<T>, text: string): T {
  const result = v.safeParse(schema, parseJson(text));
  if (!result.success)
    throw new UnavailableError("E_STORAGE", `The store is damaged (a ${prefix.slice(0, -1)} entry).`);
  return result.output;
}

function tableOf<T>(prefix: `${string}:`, schema: v.GenericSchema<unknown, T>): Table<T> {
  return { prefix, schema };
}

/** Undefined, which no schema takes, for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
