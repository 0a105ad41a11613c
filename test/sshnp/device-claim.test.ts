import { expect, test } from "vitest";
import { ed25519Line } from "../../keys/openssh.ts";
import type { PeerPins } from "../../keys/peer.ts";
import { signedTextToJson } from "../../keys/signed-text.ts";
import { rememberedDevice } from "../../sshnp/device-claim.ts";
import { newPerson, type Person, suite } from "../directory/world.ts";
import { cast, NOW } from "../protocol/fixtures.ts";

const { name, member } = cast(suite).device;

test("a remembered binding counts until it expires; then the directory is asked", () => {
  const device = newPerson(name, member, "device", { issued: NOW, expires: NOW + 1000 });
  const remembered = (now: number) => rememberedDevice(suite, pinsOf(device), device, undefined, now);
  expect(remembered(NOW + 999)).toMatchObject({ role: "device", statements: { member: device.binding } });
  expect(remembered(NOW + 1000)).toBeUndefined();
});

test("a device that was never met is not remembered", () => {
  const device = { name, member };
  expect(rememberedDevice(suite, { owner: undefined, member: undefined }, device, undefined, NOW)).toBeUndefined();
});

function pinsOf({ owner, statement, binding }: Person): PeerPins {
  const line = ed25519Line(owner.publicKey);
  return {
    owner: {
      ...{ v: 1, name, owner: line, origin: "first contact", since: NOW },
      ...{ statement: signedTextToJson(statement), accepted: [] },
    },
    member: {
      ...{ v: 1, name, member, owner: line, binding: signedTextToJson(binding) },
      ...{ delegation: null, hostKeys: [], accepted: [] },
    },
  };
}
