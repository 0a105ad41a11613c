/**
 * What a policy of AWS allows: of IAM, of a resource, or of AWS IoT Core. An explicit denial wins, and what nothing allows is denied
 * (IAM User Guide, "Policy evaluation logic"). For tests: what it does not know it throws at, so that nothing passes unseen.
 */

/** One question. */
export interface Asked {
  /** The ARN or the service of whoever asks; where the policy names none it is whoever has the policy. */
  readonly principal?: string;
  readonly action: string;
  /** ARN. */
  readonly resource: string;
  /** Condition keys, and IoT's variables, to their values. */
  readonly context?: Readonly<Record<string, string>>;
}

interface Statement {
  readonly Sid?: string;
  readonly Effect: "Allow" | "Deny";
  readonly Principal?: "*" | Readonly<Record<string, string | readonly string[]>>;
  readonly Action: string | readonly string[];
  readonly Resource?: string | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

export interface Policy {
  readonly Version: string;
  readonly Statement: readonly Statement[];
}

const KNOWN = new Set(["Sid", "Effect", "Principal", "Action", "Resource", "Condition"]);

/** @throws when the policy says what this does not know. */
export function isAllowed(policy: Policy, asked: Asked): boolean {
  if (policy.Version !== "2012-10-17") throw new Error("an old version has no variables");
  const applying = policy.Statement.filter((statement) => applies(statement, asked));
  return applying.length > 0 && applying.every(({ Effect }) => Effect === "Allow");
}

function applies(statement: Statement, asked: Asked): boolean {
  for (const key of Object.keys(statement)) if (!KNOWN.has(key)) throw new Error(`${key} is not known here`);
  const { context = {} } = asked;
  return (
    principalApplies(statement, asked.principal) &&
    each(statement.Action).some((action) => isLike(asked.action.toLowerCase(), action.toLowerCase())) &&
    // A policy of trust has no resource.
    (statement.Resource === undefined ||
      each(statement.Resource).some((resource) => resourceApplies(resource, asked))) &&
    Object.entries(statement.Condition ?? {}).every(([operator, keys]) =>
      Object.entries(keys).every(([key, values]) => conditionHolds(operator, context[key], each(values))),
    )
  );
}

function principalApplies({ Principal }: Statement, principal: string | undefined): boolean {
  if (Principal === undefined) return true;
  if (Principal === "*") return true;
  return Object.values(Principal).some((names) => each(names).some((name) => name === "*" || name === principal));
}

function resourceApplies(resource: string, { resource: asked, context = {} }: Asked): boolean {
  let isKnown = true;
  // A value that a variable stands for is no pattern: IoT lets in no thing with * in its name.
  const filled = resource.replaceAll(/\$\{([^}]+)\}/g, (_, name: string) => {
    const value = context[name];
    if (value === undefined) isKnown = false;
    return (value ?? "").replaceAll(/[*?]/g, "");
  });
  return isKnown && isLike(asked, filled);
}

function conditionHolds(operator: string, value: string | undefined, wanted: readonly string[]): boolean {
  if (value === undefined) return false; // but for ...IfExists, which is none of these
  switch (operator) {
    case "Bool":
    case "StringEquals":
      return wanted.includes(value);
    case "ArnEquals":
    case "ArnLike":
    case "StringLike":
      return wanted.some((pattern) => isLike(value, pattern));
    default:
      throw new Error(`${operator} is not known here`);
  }
}

/** `*` is any run of characters, slashes and colons included, `?` any one. */
function isLike(value: string, pattern: string): boolean {
  const literal = pattern.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`^${literal.replaceAll("*", ".*").replaceAll("?", ".")}$`, "s").test(value);
}

function each(value: string | readonly string[]): readonly string[] {
  return typeof value === "string" ? [value] : value;
}
