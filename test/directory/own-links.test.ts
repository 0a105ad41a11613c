import { expect, test } from "vitest";
import { OwnLinks } from "../../directory/own-links.ts";
import { parseMember, parseName } from "../../keys/names.ts";

const [fleet, other] = [parseName("@fleet"), parseName("@fleet2")];
const device = { name: fleet, member: parseMember("d1") };
const second = { name: fleet, member: parseMember("d2") };
const stranger = { name: other, member: parseMember("d1") };

test("links are found by their device and by its name, however many one has, until each is taken out", () => {
  const links = new OwnLinks<object>();
  const [a, b, c, d] = [{ a: 1 }, { b: 1 }, { c: 1 }, { d: 1 }];
  links.add(a, device);
  links.add(a, device);
  expect(links.of("@fleet/d1")).toEqual([a]);
  links.add(b, device); // the newer one, while the older one closes
  links.add(c, second);
  links.add(d, stranger);
  expect(links.of("@fleet/d1")).toEqual([a, b]);
  expect(links.all()).toEqual([a, b, c, d]);
  expect(links.subjectsOf(fleet)).toEqual(["@fleet/d1", "@fleet/d2"]);
  expect(links.subjectsOf(other)).toEqual(["@fleet2/d1"]);
  links.remove(a, device);
  links.remove(a, device);
  expect(links.of("@fleet/d1")).toEqual([b]);
  links.remove({}, second); // one that was never there
  expect(links.of("@fleet/d2")).toEqual([c]);
  links.remove(b, device);
  links.remove(c, second);
  expect(links.of("@fleet/d1")).toEqual([]);
  expect(links.subjectsOf(fleet)).toEqual([]);
  expect(links.all()).toEqual([d]);
});
