/**
 * A policy's text made into a Policy. Nothing is guessed: unknown fields, names that stand for nothing, and forms that could
 * be read in two ways are refused with line and column, what is wrong, and what is expected there. Whoever imports this
 * file loads the YAML library (some 40 ms); nothing else in this folder does.
 */
import { isName, type Name, quoted } from "../../keys/names.ts";
import { type Fingerprint, isFingerprint } from "../../keys/openssh.ts";
import { POLICY_ZONES } from "../limits.ts";
import { entriesOf, type Expected, fieldsOf, itemsOf, required, textOf } from "./fields.ts";
import { parseGrant } from "./parse-grant.ts";
import type { UnknownZones } from "./parse-hours.ts";
import { parsePolicyTest } from "./parse-policy-test.ts";
import { parseGroups, parseTags } from "./parse-sets.ts";
import type { Grant, Policy } from "./policy.ts";
import { problem } from "./problem.ts";
import type { Tree } from "./tree.ts";
import { readYamlTree } from "./yaml-tree.ts";

const FIELDS = ["version", "owners", "groups", "tags", "grants", "tests"];
const VERSION: Expected = { what: "the version", form: 'Write "version: 1", the only one there is.' };

/**
 * `unknownZones`: `refuse` for whoever writes, signs or takes in a policy; `never hold` for whoever must obey one that was
 * signed elsewhere, on a platform that may know fewer zones: hours of such a zone never come.
 * The policy's own tests are not run here, see policy-tests.ts.
 * @throws {SetupError} E_POLICY.
 */
export function parsePolicy(text: string, { unknownZones }: { readonly unknownZones: UnknownZones }): Policy {
  const tree = readYamlTree(text);
  if (tree.kind === "nothing") throw problem(tree.at, "the policy is empty.", 'It begins with "version: 1".');
  const fields = fieldsOf(tree, "a policy", FIELDS);
  refuseOtherVersion(required(tree, fields, "version", { what: "the policy", form: VERSION.form }));
  const owners = parseOwners(fields.get("owners"));
  const groups = parseGroups(fields.get("groups"));
  const tags = parseTags(fields.get("tags"));
  const grants = itemsOf(fields.get("grants"), { what: "grants", form: "Grants are a list, one item for each." });
  const tests = itemsOf(fields.get("tests"), { what: "tests", form: "Tests are a list, one item for each." });
  return {
    owners,
    groups,
    tags,
    grants: refuseManyZones(
      grants.map((item, i) => parseGrant(item, i + 1, { groups, tags }, unknownZones)),
      grants,
    ),
    tests: tests.map((item) => parsePolicyTest(item)),
  };
}

function refuseOtherVersion(tree: Tree): void {
  const { text, at } = textOf(tree, VERSION);
  if (text !== "1") throw problem(at, `there is no version ${quoted(text)} of policies.`, VERSION.form);
}

function parseOwners(tree: Tree | undefined): Policy["owners"] {
  const expected = { what: "owners", form: 'Owners are names with fingerprints: "@acme": SHA256:...' };
  return new Map(
    entriesOf(tree, expected).map(({ key, value }): [Name, Fingerprint] => {
      if (!isName(key.text)) throw problem(key.at, `${quoted(key.text)} is not a name.`, expected.form);
      const { text, at } = textOf(value, { ...expected, what: "an owner" });
      if (isFingerprint(text)) return [key.text, text];
      throw problem(
        at,
        `${quoted(text)} is not the fingerprint of a key.`,
        "It reads SHA256: and 43 characters, as ssh-keygen -l prints it.",
      );
    }),
  );
}

function refuseManyZones(grants: readonly Grant[], items: readonly Tree[]): readonly Grant[] {
  const zones = new Set<string>();
  for (const [i, { hours }] of grants.entries()) {
    if (hours !== undefined) zones.add(hours.zone);
    const item = items[i];
    if (zones.size > POLICY_ZONES && item !== undefined) {
      throw problem(
        item.at,
        `the hours of this grant are in one time zone more than the ${POLICY_ZONES} of a policy.`,
        "Write hours in fewer zones.",
      );
    }
  }
  return grants;
}
