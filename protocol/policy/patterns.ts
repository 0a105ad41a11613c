import type { DeviceSet, ServicePattern } from "./policy.ts";
import type { Service } from "../service.ts";

/** Whether a device is one of those that a tag or grant means. */
export function hasDevice({ devices, patterns }: DeviceSet, device: string): boolean {
  return devices.has(device) || patterns.some((pattern) => matches(pattern, device));
}

/**
 * Whether `text` is what `pattern` says, where each `*` stands for any number of any characters. A `*` in `text` is a
 * character as any other, so that a pattern can be asked whether it holds all that another one holds.
 * At most pattern.length times text.length steps.
 */
export function matches(pattern: string, text: string): boolean {
  let [at, to] = [0, 0];
  let star = -1;
  let taken = 0;
  while (to < text.length) {
    if (pattern[at] === "*") {
      star = at++;
      taken = to;
    } else if (pattern[at] === text[to]) {
      at++;
      to++;
    } else if (star >= 0) {
      at = star + 1;
      to = ++taken;
    } else return false;
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}

/** Whether a service, or all those of another pattern, are among those that a grant means. */
export function hasService(pattern: ServicePattern, service: Service | ServicePattern): boolean {
  if (pattern.kind === "ssh" || service.kind !== "tcp") return pattern.kind === service.kind;
  return (
    (pattern.host === "*" || pattern.host === service.host) && (pattern.port === "*" || pattern.port === service.port)
  );
}

/** As it stands in a policy (but `ping`, which stands in none): `ssh`, `tcp:HOST:PORT` with IPv6 in brackets, `*` for any. */
export function printService(service: ServicePattern | Service): string {
  if (service.kind !== "tcp") return service.kind;
  return `tcp:${service.host.includes(":") ? `[${service.host}]` : service.host}:${service.port}`;
}
