import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember } from "../../keys/names.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import type { MemberStatements } from "../../protocol/member-statements.ts";
import { rotationText } from "../../protocol/owner-chain.ts";
import {
  delegationText,
  policyText,
  revocationText,
  verifyDelegation,
  verifyPolicyStatement,
} from "../../protocol/owner-statements.ts";
import { signWith, subjectOf } from "../../protocol/statement-fields.ts";
import { bindingText, verifyBinding, verifyNameStatement } from "../../protocol/statements.ts";
import { OracleLog } from "../oracle/log.ts";
import { after, cast, NOW, repeatableRandom } from "./fixtures.ts";

export const ORIGIN = "np.example.org:7800";
const POLICY = 'version: 1\ngrants:\n  - from: ["@client"]\n    to: ["*"]\n    services: [ssh]\n';

/**
 * A statement of every kind that an owner signs, and the log that they make. The session of the golden messages is set up
 * under the first proofs; then @client hands its name on and binds its member anew, and @device gets a member by a delegation,
 * and a policy. What is revoked is not logged any more.
 */
export function goldenLog(suite: CipherSuite) {
  const { client, device, directory, rendezvous } = cast(suite);
  const random = repeatableRandom("golden log");
  const made = { issued: NOW, expires: null };
  const sign = (key: Ed25519PrivateKey, text: Parameters<typeof signWith>[2]): SignedText => signWith(suite, key, text);

  const nextOwner = Ed25519PrivateKey.generate(suite, random);
  const owner = ed25519Line(nextOwner.publicKey);
  const beforeRotation = after(verifyNameStatement(suite, client.nameStatement));
  const rotation = sign(
    client.owner,
    rotationText(random, { ...beforeRotation, ...made, issued: NOW + 1000, name: client.name, owner }),
  );
  const firstBinding = verifyBinding(suite, client.binding, ed25519Line(client.owner.publicKey));
  const rebinding = sign(nextOwner, bindingText(random, { ...firstBinding.statement, ...after(firstBinding) }));

  const delegationOfSensor = `${device.name}:delegation:00112233445566ff`;
  const fleet = Ed25519PrivateKey.generate(suite, random);
  const delegation = sign(
    device.owner,
    delegationText(random, {
      ...{ ...after(), ...made, expires: NOW + 86_400_000, name: device.name, id: "00112233445566ff" },
      ...{ key: fleet.publicKey, role: "device", pattern: "sensor-*", uses: 1000 },
    }),
  );
  const sensor = {
    ...{ name: device.name, member: parseMember("sensor-7"), role: "device" as const },
    x25519: X25519PrivateKey.generate(suite, random),
    ed25519: Ed25519PrivateKey.generate(suite, random),
  };
  const delegated = sign(
    fleet,
    bindingText(random, {
      ...{ ...after(), ...made, name: sensor.name, member: sensor.member, role: sensor.role },
      ...{ x25519: sensor.x25519.publicKey, ed25519: sensor.ed25519.publicKey },
    }),
  );
  const deviceOwner = ed25519Line(device.owner.publicKey);
  const policy = sign(device.owner, policyText(random, { ...after(), ...made, name: device.name, policy: POLICY }));
  const nextPolicy = sign(
    device.owner,
    policyText(random, {
      ...{ ...after(verifyPolicyStatement(suite, policy, deviceOwner)), ...made },
      ...{ name: device.name, policy: "version: 1\ngrants: []\n" },
    }),
  );
  const revocation = sign(
    device.owner,
    revocationText(random, {
      ...{ ...after(verifyBinding(suite, device.binding, deviceOwner)), ...made },
      ...{ subject: `${device.name}/${device.member}`, reason: "stolen" },
    }),
  );
  const delegationRevocation = sign(
    device.owner,
    revocationText(random, {
      ...{ ...after(verifyDelegation(suite, delegation, deviceOwner)), ...made },
      ...{ subject: delegationOfSensor, reason: "" },
    }),
  );

  const log = new OracleLog(ORIGIN, directory.log.secretBytes());
  const prove = (subjects: readonly string[], since: number) => ({ subjects, bytes: log.proof({ subjects, since }) });
  const put = (...statements: readonly SignedText[]): void =>
    log.append(statements.map((one) => ({ subject: subjectOf(one), text: one.text })));
  put(client.nameStatement, client.binding);
  put(device.nameStatement, device.binding);
  const seen = { size: log.size, checkpoint: log.checkpoint() };
  put(rendezvous.statement);
  const since = seen.size;
  const [clientMember, deviceMember] = [`${client.name}/${client.member}`, `${device.name}/${device.member}`];
  const early: GoldenProofs<"ticket" | "notify" | "binding"> = {
    ticket: prove([clientMember, device.name, deviceMember, "rendezvous:eu1"], since),
    notify: prove([client.name, clientMember, `${device.name}:policy`, "rendezvous:eu1"], since),
    binding: prove([device.name, deviceMember], 0),
  };
  put(rotation, rebinding);
  put(delegation);
  put(delegated);
  put(policy);
  const late: GoldenProofs<"names" | "own" | "changed" | "logged"> = {
    names: prove([client.name, device.name], since),
    own: prove([device.name, `${device.name}/sensor-7`, delegationOfSensor, `${device.name}:policy`], since),
    changed: prove([client.name, clientMember], log.size),
    logged: prove([client.name, clientMember], since),
  };

  const rotated: MemberStatements = {
    names: [client.nameStatement, rotation],
    member: rebinding,
    delegation: undefined,
  };
  const bySensor: MemberStatements = { names: [device.nameStatement], member: delegated, delegation };
  return {
    ...{ nextOwner, rotation, rebinding, fleet, delegation, delegated, sensor },
    ...{ policy, nextPolicy, revocation, delegationRevocation },
    ...{ log, seen, rotated, bySensor, proofs: { ...early, ...late } },
  };
}

/** By the message that a proof is of: its subjects, in their order, and its bytes. */
type GoldenProofs<Message extends string> = Readonly<
  Record<Message, { readonly subjects: readonly string[]; readonly bytes: Uint8Array }>
>;
