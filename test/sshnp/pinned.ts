import { join } from "node:path";
import { concat } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine, sshString } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import type { PeerClaim } from "../../protocol/peers.ts";
import { signFirstBinding, signFirstNameStatement } from "../../protocol/statements.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { pinDevice } from "../../sshnp/pins.ts";
import { cast, NOW, repeatableRandom } from "../protocol/fixtures.ts";

/** The device that tests look at, with keys that are the same in every run. */
export const { device } = cast(suite);
export const HOST = "mygateway.device.np";
export const OWNER = fingerprint(suite, parsePublicKeyLine(ed25519Line(device.owner.publicKey)).blob);

const random = repeatableRandom("pinned");

/** A keys folder in `path`, in which that device is pinned with two host keys, and scanner of @depot with none. */
export async function pinnedIn(path: string): Promise<PrivateFolder> {
  const keys = await PrivateFolder.openOrCreate(join(path, "keys"));
  await pinDevice(suite, keys, { claim: claimOf(device), given: undefined, hostKeys: HOST_KEYS }, NOW);
  await pinDevice(suite, keys, { claim: claimOf(SCANNER), given: undefined, hostKeys: [] }, NOW);
  return keys;
}

type Device = Pick<typeof device, "name" | "member" | "nameStatement" | "binding">;

function claimOf({ name, member, nameStatement, binding }: Device): PeerClaim {
  const statements = { names: [nameStatement], member: binding, delegation: undefined };
  return { name, member, role: "device", statements };
}

const HOST_KEYS = [
  concat(sshString("ssh-ed25519"), sshString(Ed25519PrivateKey.generate(suite, random).publicKey.bytes)),
  concat(sshString("ecdsa-sha2-nistp256"), sshString("nistp256"), sshString(Uint8Array.of(4, ...Array(64).fill(7)))),
];
const SCANNER = deviceOf("@depot", "scanner");

function deviceOf(nameText: string, memberText: string): Device {
  const [name, member] = [parseName(nameText), parseMember(memberText)];
  const owner = Ed25519PrivateKey.generate(suite, random);
  const line = ed25519Line(owner.publicKey);
  const nameStatement = signFirstNameStatement(suite, random, owner, { name, owner: line, issued: NOW });
  const binding = signFirstBinding(suite, random, owner, {
    ...{ name, member, role: "device", issued: NOW, expires: null },
    x25519: X25519PrivateKey.generate(suite, random).publicKey,
    ed25519: Ed25519PrivateKey.generate(suite, random).publicKey,
  });
  return { name, member, nameStatement, binding };
}
