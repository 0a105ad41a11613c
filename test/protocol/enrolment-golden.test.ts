import { describe, expect, test } from "vitest";
import { base32 } from "../../keys/base32.ts";
import { hex } from "../../keys/bytes.ts";
import { delegationKey, parseFleetToken, parseOneTimePassword, passwordKey } from "../../keys/enrolment-secrets.ts";
import { signSshsig } from "../../keys/sshsig.ts";
import {
  DENIAL_NAMESPACE,
  denialProof,
  enrolmentCode,
  enrolmentProof,
  oneTimePasswordText,
} from "../../protocol/enrolment.ts";
import {
  encodeEnrolmentDenial,
  encodeEnrolmentRequest,
  encodeEnrolmentsQuestion,
  encodeOwnStatementsQuestion,
  encodePutPassword,
} from "../../protocol/messages/enrolment.ts";
import { encodeFrame } from "../../protocol/messages/response-frames.ts";
import { signWith } from "../../protocol/statement-fields.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { cast, NOW, repeatableRandom } from "./fixtures.ts";

describe.each(["native", "noble"])("every layout of an enrolment, made with the %s suite", (suiteName) => {
  test("is byte for byte the frozen one", async () => {
    const layouts = await everyLayout(suiteName);
    await expect(`${JSON.stringify(layouts, null, 2)}\n`).toMatchFileSnapshot("golden/enrolment.json");
  });
});

async function everyLayout(suiteName: string): Promise<Record<string, string>> {
  const suite = await loadSuite(suiteName);
  const random = repeatableRandom("enrolment golden");
  const { device } = cast(suite);
  const secret = parseOneTimePassword(base32(random(10), 16));
  const key = passwordKey(suite, secret, device.name);
  const token = parseFleetToken("09a4".repeat(16));
  const directoryFingerprint = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  const applicant = {
    ...{ name: device.name, member: device.member, role: "device" as const },
    x25519: device.x25519.publicKey,
    ed25519: device.ed25519.publicKey,
  };
  const password = signWith(
    suite,
    device.owner,
    oneTimePasswordText(random, {
      ...{ name: device.name, key: key.publicKey, role: "device", pattern: "my*" },
      ...{ issued: NOW, expires: NOW + 3_600_000 },
    }),
  );
  const nonce = random(16);
  const proof = enrolmentProof({ nonce, directoryFingerprint }, applicant);
  const passwordSignature = suite.sign(key, proof);
  const ownSignature = suite.sign(device.ed25519, proof);
  const denial = denialProof(directoryFingerprint, applicant);
  const entry = { ...applicant, password, nonce, requested: NOW, passwordSignature, ownSignature };
  const request = { ...applicant, nonce, passwordKey: key.publicKey, passwordSignature, ownSignature };
  const ownerSignature = signSshsig(suite, device.owner, DENIAL_NAMESPACE, denial);
  return {
    "key of a one-time password": hex(key.publicKey.bytes),
    "key of a fleet token": hex(delegationKey(suite, token, device.name).publicKey.bytes),
    "one-time password": password.text,
    "one-time password, SSHSIG": hex(password.signature),
    "put password": hex(encodePutPassword(password)),
    "enrolment, signed bytes": hex(proof),
    code: enrolmentCode(suite, applicant),
    enrolment: hex(encodeEnrolmentRequest({ ...request, checkpointSize: 7, isWaiting: true })),
    "own statements": hex(encodeOwnStatementsQuestion({ ...applicant, checkpointSize: 7 })),
    "read enrolments": hex(encodeEnrolmentsQuestion({ name: device.name, ownerSignature: new Uint8Array(0) })),
    "denial, signed bytes": hex(denial),
    denial: hex(encodeEnrolmentDenial({ ...applicant, ownerSignature })),
    "frame pending": hex(encodeFrame({ type: "pending", requested: NOW, until: NOW + 172_800_000 }).body),
    "frame enrolments": hex(encodeFrame({ type: "enrolments", entries: [entry] }).body),
  };
}
