import { isMember, isName, type MemberName, quoted } from "../../keys/names.ts";
import { entriesOf, type Expected, itemsOf, meant, someTexts, textOf } from "./fields.ts";
import type { ClientSet, DeviceSet, Policy, PolicyClient } from "./policy.ts";
import { problem } from "./problem.ts";
import type { TextNode, Tree } from "./tree.ts";

const GROUP = "group:";
const TAG = "tag:";
const CLIENT_FORM = 'Write "@acme/alice" for one member, "@acme" for every member of a name';
const DEVICE_FORM = 'Write gw1 for a device, "gw-*" for all whose names begin so';
const FROM: Expected = { what: "from", form: `${CLIENT_FORM}, group:NAME for a group: a list.` };
const TO: Expected = { what: "to", form: `${DEVICE_FORM}, tag:NAME for a tag: a list.` };

/** `groups:` of a policy. @throws {SetupError} E_POLICY. */
export function parseGroups(tree: Tree | undefined): Policy["groups"] {
  const expected = { what: "groups", form: 'Groups are names with lists: operators: ["@acme/alice", "@acme/bob"]' };
  const parsed = entriesOf(tree, expected).map(({ key, value }): [string, ClientSet] => {
    const members = itemsOf(value, { ...expected, what: "a group" }).map((item) =>
      parseClient(textOf(item, { ...expected, what: "an entry of a group" }), `${CLIENT_FORM}.`),
    );
    return [parseWord(key, "a group"), { members: new Set(members) }];
  });
  return new Map(parsed);
}

/** `tags:` of a policy. @throws {SetupError} E_POLICY. */
export function parseTags(tree: Tree | undefined): Policy["tags"] {
  const expected = { what: "tags", form: "Tags are names with lists of devices: gateways: [gw1, gw2]" };
  const parsed = entriesOf(tree, expected).map(({ key, value }): [string, DeviceSet] => {
    const devices = itemsOf(value, { ...expected, what: "a tag" }).map((item) =>
      parseDevices(textOf(item, { ...expected, what: "an entry of a tag" }), `${DEVICE_FORM}.`),
    );
    return [parseWord(key, "a tag"), deviceSet(devices)];
  });
  return new Map(parsed);
}

/** `from:` of a grant. @throws {SetupError} E_POLICY. */
export function parseFrom(tree: Tree, groups: Policy["groups"]): ClientSet[] {
  const own = new Set<string>();
  const named = new Set<ClientSet>();
  for (const node of someTexts(tree, FROM)) {
    if (node.text.startsWith(GROUP)) named.add(lookUp(node, GROUP, groups));
    else own.add(parseClient(node, FROM.form));
  }
  return [...(own.size > 0 ? [{ members: own }] : []), ...named];
}

/** `to:` of a grant. @throws {SetupError} E_POLICY. */
export function parseTo(tree: Tree, tags: Policy["tags"]): DeviceSet[] {
  const own: string[] = [];
  const named = new Set<DeviceSet>();
  for (const node of someTexts(tree, TO)) {
    if (node.text.startsWith(TAG)) named.add(lookUp(node, TAG, tags));
    else own.push(parseDevices(node, TO.form));
  }
  return [...(own.length > 0 ? [deviceSet(own)] : []), ...named];
}

/** `@acme/alice`, one member and no more. @throws {SetupError} E_POLICY. */
export function parseOneClient({ text, at }: TextNode, form: string): PolicyClient {
  const [name = "", member = "", ...others] = text.split("/");
  if (isName(name) && isMember(member) && others.length === 0) return { name, member };
  throw problem(at, `${quoted(text)} is not a member of a name.`, form);
}

/** One device and no more. @throws {SetupError} E_POLICY. */
export function parseOneDevice({ text, at }: TextNode, form: string): MemberName {
  if (isMember(text)) return text;
  throw problem(at, `${quoted(text)} is not a device.`, form);
}

function parseClient(node: TextNode, form: string): string {
  if (isName(node.text)) return node.text;
  if (node.text.startsWith("@")) {
    const { name, member } = parseOneClient(node, form);
    return `${name}/${member}`;
  }
  if (node.text.startsWith(GROUP)) throw problem(node.at, "a group cannot hold another group.", form);
  throw problem(node.at, `${quoted(node.text)} is nobody.`, form);
}

function parseDevices(node: TextNode, form: string): string {
  const { text, at } = node;
  if (text.includes("*") && /^[a-z0-9_*-]{1,36}$/.test(text)) return text;
  if (text.startsWith(TAG)) throw problem(at, "a tag cannot hold another tag.", form);
  if (text.startsWith("@")) {
    throw problem(
      at,
      `${quoted(text)} is not a device.`,
      "Devices are those of the policy's own name: write gw1, without the name.",
    );
  }
  return parseOneDevice(node, form);
}

function deviceSet(parsed: readonly string[]): DeviceSet {
  const isPattern = (text: string): boolean => text.includes("*");
  return {
    devices: new Set(parsed.filter((text) => !isPattern(text))),
    patterns: [...new Set(parsed.filter(isPattern))],
  };
}

function lookUp<T>({ text, at }: TextNode, prefix: string, sets: ReadonlyMap<string, T>): T {
  const word = text.slice(prefix.length);
  const found = sets.get(word);
  if (found !== undefined) return found;
  const kind = prefix.slice(0, -1);
  throw problem(
    at,
    `there is no ${kind} ${quoted(word)} in this policy.`,
    meant(word, [...sets.keys()], `Its ${kind}s are`),
  );
}

function parseWord({ text, at }: TextNode, what: string): string {
  if (/^[a-z0-9](?:[a-z0-9_-]{0,34}[a-z0-9])?$/.test(text)) return text;
  throw problem(
    at,
    `${quoted(text)} is no name for ${what}.`,
    "It is 1 to 36 of a-z, 0-9, hyphen and underscore, and begins and ends with a letter or digit.",
  );
}
