/** A directory that lies to a device, whose sshnpd is the real one, while its clients are told the truth. */
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { type MemberName, parseName } from "../../keys/names.ts";
import type { Log } from "../../directory/log/log.ts";
import { policySubject } from "../../protocol/owner-statements.ts";
import { random, suite } from "../directory/world.ts";
import type { RunningProcess } from "../support/processes.ts";
import type { Machine } from "../support/stack.ts";
import { anything, ForgingDirectory } from "./forging-directory.ts";
import { type Outcome, runRows } from "./run.ts";

let forger: ForgingDirectory;
/** Has been online, and admitted the client. */
let experienced: Machine;
let acquainted: Machine;
beforeAll(async () => {
  forger = await ForgingDirectory.start();
  experienced = forger.machine(forger.device);
  acquainted = forger.machine(forger.client);
  const daemon = await forger.startDaemon(experienced);
  expect(await forger.connect(acquainted)).toMatchObject({ code: 0 });
  await daemon.stop();
});
afterEach(() => forger.rest());
afterAll(() => forger?.[Symbol.asyncDispose]());

type Proof = Log["proof"];

runRows(import.meta.filename, {
  "a device that was there before is shown another log of the same size": async () => {
    const fork = await forger.fork({ batches: -1 });
    await fork.append([anything(), anything()], []);
    expect(fork.checkpoint.size).toBe(forger.log.checkpoint.size);
    return await refusedAtLink((subjects, since) => fork.proof(subjects, since));
  },
  "a device that was there before is shown a smaller log": async () => {
    const old = await forger.fork({ batches: -1 });
    return await refusedAtLink((subjects, since) => old.proof(subjects, since));
  },
  "a device is shown a log of another key": async () => {
    const other = await forger.fork({ privateKey: Ed25519PrivateKey.generate(suite, random) });
    return await refusedAtLink((subjects, since) => other.proof(subjects, since));
  },
  "a device is proved other subjects than it is told of": async () => {
    const honest: Proof = forger.log.proof.bind(forger.log);
    return await refusedAtLink((subjects, since) =>
      honest(
        subjects.map((subject) => `${subject}x`),
        since,
      ),
    );
  },
  "a policy of its name is hidden from a device": async () => {
    const fork = await forger.fork();
    await fork.append([{ subject: policySubject(parseName("@device")), hash: random(32) }], []);
    return await refusedAtLink((subjects, since) => fork.proof(subjects, since));
  },
  "a device that is linked is shown a smaller log with a request": async () => {
    const old = await forger.fork({ batches: -1 });
    return await refusedWithRequest(() => forger.show((subjects, since) => old.proof(subjects, since), "request"));
  },
  "a client's revocation is hidden from the device, and its thief let through": async () => {
    const { store } = forger.world;
    const member = { name: parseName("@client"), member: await clientMember() };
    const before = await store.member(member);
    const owner = forger.machine(forger.client);
    const thief = forger.machine(acquainted);
    await owner.must("sshnp-keys", "revoke", "@client", member.member);
    const honest = store.member.bind(store);
    const fork = await forger.fork({ batches: -1 });
    await fork.append([anything()], []); // what the thief's own end is shown; his end might be anything
    return await refusedWithRequest(() => {
      forger.forge(store, "member", async (party) => (party.name === member.name ? before : await honest(party)));
      forger.show((subjects, since) => fork.proof(subjects, since), "client");
    }, thief);
  },
});

/** sshnpd of a device that was online before is shown these proofs as it comes back: what ends it, and what it keeps. */
async function refusedAtLink(proof: Proof): Promise<Outcome> {
  const machine = forger.machine(experienced);
  forger.show(proof, "device");
  const daemon = await forger.startDaemon(machine, { isUp: false });
  await daemon.errorLine(/"code":"E_/);
  return await outcomeOf(machine, daemon);
}

/** sshnpd is linked, and then lied to; somebody asks it for a session. */
async function refusedWithRequest(lie: () => void, client = forger.machine(acquainted)): Promise<Outcome> {
  const machine = forger.machine(experienced);
  const daemon = await forger.startDaemon(machine);
  lie();
  const exit = await forger.connect(client);
  expect(exit, exit.stderr).toMatchObject({ code: 255, stdout: "" });
  expect(exit.stderr).toMatch(/[[(]E_LOG[)\]]/);
  await daemon.errorLine(/"code":"E_/);
  expect(daemon.stderr).not.toContain("request granted");
  return await outcomeOf(machine, daemon);
}

async function outcomeOf(machine: Machine, daemon: RunningProcess): Promise<Outcome> {
  const code = /"code":"(E_[A-Z_]+)"/.exec(daemon.stderr)?.[1];
  await daemon.kill("SIGTERM");
  return { code, evidence: (await forger.shownEvidence(machine)).length };
}

async function clientMember(): Promise<MemberName> {
  const [first = expect.fail()] = await forger.world.store.members(parseName("@client"));
  return first.member;
}
