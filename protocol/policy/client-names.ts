import type { Name } from "../../keys/names.ts";
import type { Policy } from "./policy.ts";

/** The names that some grant lets reach something, each once, in the order of the grants. */
export function clientNames({ grants }: Pick<Policy, "grants">): Name[] {
  const members = grants.flatMap(({ from }) => from.flatMap((set) => [...set.members]));
  return [...new Set(members.map((member) => member.split("/", 1)[0] as Name))];
}
