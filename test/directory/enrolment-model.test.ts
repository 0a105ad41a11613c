import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Enrolments } from "../../directory/accounts/enrolments.ts";
import { LevelDatabase } from "../../directory/level-database.ts";
import { Store } from "../../directory/store.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { ed25519Line, type Fingerprint } from "../../keys/openssh.ts";
import { signSshsig } from "../../keys/sshsig.ts";
import { DENIAL_NAMESPACE, denialProof, enrolmentProof } from "../../protocol/enrolment.ts";
import { ENROLMENT_MS } from "../../protocol/limits.ts";
import { signFirstNameStatement } from "../../protocol/statements.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { newApplicant, newPassword } from "./applicant.ts";
import { random, suite } from "./world.ts";

const DIRECTORY = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" as Fingerprint;
const name = parseName("@acme");
const owner = Ed25519PrivateKey.generate(suite, random);
const HOUR = 3_600_000;
const START = 1_800_000_000_000;

/** Two names of members, three machines, each of which may ask for either, and three passwords. */
const MEMBERS = ["gw-1", "gw-2"] as const;
const machines = [0, 1, 2].map(() => newApplicant(name, "gw-1"));
const asMember = (machine: number, member: number) => {
  const { x25519, ed25519, public: keys } = machines[machine] ?? never();
  return { x25519, ed25519, public: { ...keys, member: parseMember(MEMBERS[member] ?? never()) } };
};
const passwords = [0, 1, 2].map((i) => {
  const pattern = i === 2 ? "gw-2" : null;
  return newPassword({ name, owner }, { issued: START, expires: START + (i + 1) * 20 * HOUR, pattern });
});

type Step =
  | { readonly do: "enrol"; readonly machine: number; readonly member: number; readonly password: number }
  | { readonly do: "deny"; readonly machine: number; readonly member: number }
  | { readonly do: "give"; readonly password: number }
  | { readonly do: "wait"; readonly hours: number }
  | { readonly do: "sweep" | "reopen" };

const machine = fc.nat(2);
const member = fc.nat(1);
const password = fc.nat(2);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("enrol" as const), machine, member, password }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("deny" as const), machine, member }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("give" as const), password }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wait" as const), hours: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("sweep" as const, "reopen" as const) }) },
);

/** What a directory should know, as plainly as it can be said. */
class Model {
  now = START;
  readonly given = new Map<number, { used: boolean }>();
  waiting: { machine: number; member: number; since: number }[] = [];

  alive() {
    return this.waiting.filter(({ since }) => this.now < since + ENROLMENT_MS);
  }

  enrol(machineNumber: number, memberNumber: number, passwordNumber: number): string {
    const known = this.given.get(passwordNumber);
    if (known === undefined) return "E_TOKEN";
    const own = this.alive().find((one) => one.machine === machineNumber && one.member === memberNumber);
    if (own !== undefined) return "pending";
    const isExpired = this.now >= START + (passwordNumber + 1) * 20 * HOUR;
    if (known.used || isExpired || (passwordNumber === 2 && memberNumber !== 1)) return "E_TOKEN";
    if (this.alive().some((one) => one.member === memberNumber)) return "E_MEMBER_TAKEN";
    if (this.alive().some((one) => one.machine === machineNumber)) return "E_MEMBER_KEY";
    known.used = true;
    this.waiting = [...this.alive(), { machine: machineNumber, member: memberNumber, since: this.now }];
    return "pending";
  }

  give(passwordNumber: number): string {
    if (this.given.has(passwordNumber)) return "done";
    if (this.now >= START + (passwordNumber + 1) * 20 * HOUR) return "E_STATEMENT";
    this.given.set(passwordNumber, { used: false });
    return "done";
  }

  deny(machineNumber: number, memberNumber: number): void {
    this.waiting = this.waiting.filter((one) => one.machine !== machineNumber || one.member !== memberNumber);
  }

  sweep(): void {
    for (const number of this.given.keys()) {
      if (START + (number + 1) * 20 * HOUR + ENROLMENT_MS <= this.now) this.given.delete(number);
    }
  }
}

test("enrolments go as a model of them says, whatever comes in whatever order, also over restarts", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      await using folder = await temporaryFolder();
      const path = join(folder.path, "store");
      let store = new Store(await LevelDatabase.open(path));
      try {
        const line = ed25519Line(owner.publicKey);
        const statement = signFirstNameStatement(suite, random, owner, { name, owner: line, issued: START });
        await store.putName(name, { added: START, activationKey: owner.publicKey, statements: [statement] });
        const model = new Model();
        for (const one of steps) {
          if (one.do === "reopen") {
            await store.close();
            store = new Store(await LevelDatabase.open(path));
          }
          const enrolments = new Enrolments(suite, store, DIRECTORY);
          expect(await take(enrolments, model.now, one)).toBe(expected(model, one));
          const waiting = (await enrolments.pending(name, model.now)).map((pending) => pending.member);
          expect(new Set(waiting)).toEqual(new Set(model.alive().map((pending) => MEMBERS[pending.member])));
          expect(waiting).toHaveLength(model.alive().length);
        }
      } finally {
        await store.close();
      }
    }),
    { numRuns: 60 },
  );
}, 120_000);

function expected(model: Model, one: Step): string | undefined {
  if (one.do === "enrol") return model.enrol(one.machine, one.member, one.password);
  if (one.do === "give") return model.give(one.password);
  if (one.do === "deny") model.deny(one.machine, one.member);
  if (one.do === "wait") model.now += one.hours * HOUR;
  if (one.do === "sweep") model.sweep();
  return undefined;
}

async function take(enrolments: Enrolments, now: number, one: Step): Promise<string | undefined> {
  if (one.do === "enrol") {
    const asking = asMember(one.machine, one.member);
    const { key } = passwords[one.password] ?? never();
    const nonce = random(16);
    const proof = enrolmentProof({ nonce, directoryFingerprint: DIRECTORY }, asking.public);
    const answer = await enrolments.enrol(
      {
        ...asking.public,
        ...{ nonce, passwordKey: key.publicKey, checkpointSize: 0, isWaiting: false },
        passwordSignature: suite.sign(key, proof),
        ownSignature: suite.sign(asking.ed25519, proof),
      },
      asking.public.x25519,
      now,
    );
    if (answer === "bound") return answer;
    return "refused" in answer ? answer.refused : "pending";
  }
  if (one.do === "give") {
    const answer = await enrolments.putPassword((passwords[one.password] ?? never()).signed, now);
    return "refused" in answer ? answer.refused : "done";
  }
  if (one.do === "deny") {
    const { public: applicant } = asMember(one.machine, one.member);
    const ownerSignature = signSshsig(suite, owner, DENIAL_NAMESPACE, denialProof(DIRECTORY, applicant));
    expect(await enrolments.deny({ ...applicant, ownerSignature }, now)).toHaveProperty("isNew");
  }
  if (one.do === "sweep") await enrolments.sweep(now);
  return undefined;
}

function never(): never {
  throw new Error("there is no such one");
}
