import { describe, expect, test } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { ed25519Line, parsePublicKeyLine } from "../../keys/openssh.ts";
import { parseUserCertificate, signUserCertificate } from "../../keys/ssh-certificate.ts";
import { SSH_CERTIFICATE_MS, SSH_CERTIFICATE_SKEW_MS } from "../../protocol/limits.ts";
import { parsePolicy } from "../../protocol/policy/parse.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import type { StatedPolicy } from "../../sshnpd/own-policy.ts";
import {
  type CertifiedLogins,
  parseCertifiedLogins,
  SessionKeys,
  type SessionKeysOptions,
} from "../../sshnpd/session-keys.ts";
import { NOW, repeatableRandom } from "../protocol/fixtures.ts";

const random = repeatableRandom("session keys");
const authority = { key: Ed25519PrivateKey.generate(suite, random), publicKeyPath: "" };
const { blob } = parsePublicKeyLine(ed25519Line(Ed25519PrivateKey.generate(suite, random).publicKey));
const client = { name: parseName("@alice"), member: parseMember("laptop") };

test("a certificate is good for one login, from loopback, for minutes by the clock that the SSH server goes by", async () => {
  const wallClock = NOW - 86_400_000;
  const certified = await certify("pi", { wallClock: () => wallClock });
  if (certified === undefined) throw new Error("not certified");
  const { authority: signer, key, ...rest } = parseUserCertificate(suite, certified.certificate);
  expect(certified.until).toBe(rest.validBefore * 1000);
  expect(signer.equals(authority.key.publicKey)).toBe(true);
  expect(ed25519Line(key)).toBe(parsePublicKeyLine(ed25519Line(key)).line);
  expect(rest).toEqual({
    ...{ keyId: "sshnp @alice/laptop 00ff", principals: ["pi"], sourceAddress: "127.0.0.1/32,::1/128" },
    validAfter: Math.floor((wallClock - SSH_CERTIFICATE_SKEW_MS) / 1000),
    validBefore: Math.ceil((wallClock + SSH_CERTIFICATE_MS) / 1000),
  });
});

const NAMED = policy("{from: ['@alice/laptop'], to: [gw1], services: [ssh], logins: [pi, root]}");
const ANY_LOGIN = policy("{from: ['@alice'], to: [gw1], services: [ssh]}");
const OVER = policy("{from: ['@alice'], to: [gw1], services: [ssh], logins: [pi], expires: 2001-01-01}");
const NO_SSH = policy("{from: ['@alice'], to: [gw1], services: ['tcp:127.0.0.1:80'], logins: [pi]}", false);
const OTHERS = policy("{from: ['@bob'], to: [gw1], services: [ssh], logins: [pi]}");

// The value of --session-keys, the policy, the login, whether it is certified.
describe("sshnpd --session-keys certifies no login but those that it names and the policy names", () => {
  test.each<[CertifiedLogins, string, StatedPolicy, string, boolean]>([
    [new Set(["pi"]), "none", undefined, "pi", true],
    [new Set(["pi"]), "none", undefined, "root", false],
    [new Set(["pi"]), "none", undefined, "", false],
    ["any", "none", undefined, "pi", false],
    ["any", "one that names it", NAMED, "pi", true],
    ["any", "one that names it", NAMED, "root", true],
    ["any", "one that names it", NAMED, "admin", false],
    [new Set(["pi"]), "one that names it", NAMED, "pi", true],
    [new Set(["pi"]), "one that names it", NAMED, "root", false],
    [new Set(["admin"]), "one that names it", NAMED, "admin", false],
    ["any", "one that lets any login in", ANY_LOGIN, "pi", false],
    [new Set(["pi"]), "one that lets any login in", ANY_LOGIN, "pi", false],
    ["any", "one whose time is over", OVER, "pi", false],
    ["any", "one for something else", NO_SSH, "pi", false],
    ["any", "one for somebody else", OTHERS, "pi", false],
    [new Set(["pi"]), "one that cannot be read", "unreadable", "pi", false],
  ])("%o, policy: %s", async (logins, _what, stated, login, expected) => {
    expect((await certify(login, { logins }, stated)) !== undefined).toBe(expected);
  });

  test("and as an ordinary user no login but its own", async () => {
    const logins = new Set(["pi", "root"]);
    expect(await certify("root", { logins, onlyLogin: "pi" })).toBeUndefined();
    expect(await certify("pi", { logins, onlyLogin: "pi" })).toBeDefined();
  });
});

test("nothing is certified that is no Ed25519 key, a certificate least of all", async () => {
  const certificate = signUserCertificate(suite, random, authority.key, {
    ...{ key: authority.key.publicKey, keyId: "", principals: ["root"], sourceAddress: undefined },
    ...{ validAfter: 0, validBefore: 1 },
  });
  for (const other of [new Uint8Array(0), blob.subarray(1), certificate]) {
    expect(await certify("pi", {}, undefined, other)).toBeUndefined();
  }
});

test.each(["", "pi,", "pi,,root", "-r", "a b", "pi,root,*"])("--session-keys %j is refused", (value) => {
  expect(() => parseCertifiedLogins(value)).toThrow(expect.objectContaining({ code: "E_USAGE" }));
});

function certify(login: string, changes: Partial<SessionKeysOptions>, stated?: StatedPolicy, key = blob) {
  const keys = new SessionKeys({
    ...{ suite, random, authority, device: parseMember("gw1"), logins: new Set(["pi"]), onlyLogin: undefined },
    ...{ overLoopback: () => true, now: () => NOW, wallClock: () => NOW },
    policy: { current: () => Promise.resolve(stated) },
    ...changes,
  });
  return keys.certify({ client, blob: key, login, sid: "00ff" });
}

function policy(grant: string, withLogins = true) {
  const text = withLogins ? grant : grant.replace(/, logins: \[\w+\]/, "");
  return parsePolicy(`version: 1\ngrants: [${text}]\n`, { unknownZones: "refuse" });
}
