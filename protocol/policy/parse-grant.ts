import { quoted } from "../../keys/names.ts";
import { isLogin } from "../service.ts";
import { fieldsOf, required, someTexts, textOf } from "./fields.ts";
import { parseInstant } from "./instant.ts";
import { parseHours, type UnknownZones } from "./parse-hours.ts";
import { parseServicePattern } from "./parse-services.ts";
import { parseFrom, parseTo } from "./parse-sets.ts";
import type { Grant, Policy } from "./policy.ts";
import { problem } from "./problem.ts";
import type { Tree } from "./tree.ts";

const FIELDS = ["name", "from", "to", "services", "logins", "hours", "expires"];
const NAME_LENGTH = 80;

/** One item of `grants:`. @throws {SetupError} E_POLICY. */
export function parseGrant(
  tree: Tree,
  number: number,
  { groups, tags }: Pick<Policy, "groups" | "tags">,
  unknownZones: UnknownZones,
): Grant {
  const fields = fieldsOf(tree, "a grant", FIELDS);
  const must = (name: string, form: string): Tree => required(tree, fields, name, { what: "a grant", form });
  const optional = <T>(name: string, parse: (field: Tree) => T): T | undefined => {
    const field = fields.get(name);
    return field === undefined ? undefined : parse(field);
  };
  const services = someTexts(must("services", "Say for what it is: services: [ssh]"), {
    what: "services",
    form: "Write a list of services: [ssh, tcp:127.0.0.1:80]",
  }).map((node) => parseServicePattern(node));
  return {
    number,
    line: tree.at.line,
    name: optional("name", parseGrantName),
    from: parseFrom(must("from", "Say whom it lets in: from: [group:operators]"), groups),
    to: parseTo(must("to", "Say which devices it is about: to: [tag:gateways]"), tags),
    services,
    logins: optional("logins", (field) =>
      parseLogins(
        field,
        services.some(({ kind }) => kind === "ssh"),
      ),
    ),
    hours: optional("hours", (field) => {
      const { text, at } = textOf(field, {
        what: "hours",
        form: 'Write hours as "mon-fri 07:00-19:00 Europe/Berlin".',
      });
      return parseHours(text, at, unknownZones);
    }),
    expires: optional("expires", (field) => parseTime(field, "expires")),
  };
}

/** A moment; `field` is its name. @throws {SetupError} E_POLICY. */
export function parseTime(tree: Tree, field: string): number {
  const form = "Write 2027-01-31, which is its first moment in UTC, or more exactly 2027-01-31T18:00+01:00.";
  const { text, at } = textOf(tree, { what: field, form });
  const time = parseInstant(text);
  if (time === undefined) throw problem(at, `${quoted(text)} is no date and no time.`, form);
  return time;
}

/** @throws {SetupError} E_POLICY. */
export function parseLogin(tree: Tree): string {
  const form = "A login is a letter or underscore, then up to 31 letters, digits, dots, underscores and hyphens.";
  const { text, at } = textOf(tree, { what: "a login", form });
  if (text === "" || !isLogin(text)) throw problem(at, `${quoted(text)} is not a login.`, form);
  return text;
}

function parseLogins(tree: Tree, hasSsh: boolean): ReadonlySet<string> {
  if (!hasSsh) {
    throw problem(
      tree.at,
      "logins are given without ssh.",
      "Take them out, or add ssh to the services: other services have no login.",
    );
  }
  const form = "Write a list of users on the device, [pi, root], or leave the field out for any.";
  return new Set(someTexts(tree, { what: "logins", form }).map((node) => parseLogin(node)));
}

function parseGrantName(tree: Tree): string {
  const form = `A grant's name is a text of at most ${NAME_LENGTH} characters, or is left out.`;
  const { text, at } = textOf(tree, { what: "name", form });
  if (text === "" || text.length > NAME_LENGTH) throw problem(at, `${quoted(text)} is no name for a grant.`, form);
  return text;
}
