import type { KeyOption } from "./key-line.ts";

/** What whoever logs in by a key may do. */
export interface KeyRights {
  /** Runs instead of whatever is asked for. */
  readonly command: string | undefined;
  readonly pty: boolean;
  /** Connections to elsewhere (`ssh -L`), if the server permits any at all. */
  readonly forwarding: boolean;
  /** Where to alone, as `host:port`, with `*` for any of either; undefined: not restricted. */
  readonly permitOpen: readonly string[] | undefined;
  /** The ports of the device alone that may lead to the client (`ssh -R`), `*` for any; undefined: not restricted. */
  readonly permitListen: readonly string[] | undefined;
}

export const ALL_RIGHTS: KeyRights = {
  command: undefined,
  pty: true,
  forwarding: true,
  permitOpen: undefined,
  permitListen: undefined,
};

/**
 * The rights that the options of a key leave, or why the key admits nobody. Every restriction of sshd(8) is kept; one
 * that cannot be kept here refuses the key, and so does an option that nobody knows.
 *
 * `now` in ms since 1970 UTC.
 */
export function rightsOf(options: readonly KeyOption[], now: number): KeyRights | { readonly refusal: string } {
  let rights = ALL_RIGHTS;
  for (const { name, value } of options) {
    switch (name) {
      case "restrict":
        rights = { ...rights, pty: false, forwarding: false };
        break;
      case "no-pty":
      case "pty":
        rights = { ...rights, pty: name === "pty" };
        break;
      case "no-port-forwarding":
      case "port-forwarding":
        rights = { ...rights, forwarding: name === "port-forwarding" };
        break;
      case "command":
        if (value === undefined || rights.command !== undefined) return { refusal: "its command cannot be read" };
        rights = { ...rights, command: value };
        break;
      case "permitopen":
        if (value === undefined || !PERMIT_OPEN.test(value)) return { refusal: "its permitopen cannot be read" };
        rights = { ...rights, permitOpen: [...(rights.permitOpen ?? []), value.toLowerCase()] };
        break;
      case "permitlisten": {
        const [, port] = PERMIT_LISTEN.exec(value ?? "") ?? [];
        if (port === undefined) return { refusal: "its permitlisten cannot be read" };
        rights = { ...rights, permitListen: [...(rights.permitListen ?? []), port] };
        break;
      }
      case "expiry-time": {
        const expires = parseExpiryTime(value ?? "");
        if (expires === undefined) return { refusal: "its expiry-time cannot be read" };
        if (now >= expires) return { refusal: "it has expired" };
        break;
      }
      // They speak of what this server never does, or, with environment, of what sshd does only when it is told to.
      case "no-agent-forwarding":
      case "agent-forwarding":
      case "no-x11-forwarding":
      case "x11-forwarding":
      case "no-user-rc":
      case "user-rc":
      case "tunnel":
      case "environment":
        break;
      case "from":
        return { refusal: "it is restricted by from=, and here nobody has an address" };
      case "cert-authority":
        return { refusal: "it is an authority for certificates" };
      default:
        return { refusal: `its option ${name} cannot be kept here` };
    }
  }
  return rights;
}

/** Whether a key with these rights may be used to connect to a host and port. */
export function mayOpen({ forwarding, permitOpen }: KeyRights, host: string, port: number): boolean {
  if (!forwarding) return false;
  if (permitOpen === undefined) return true;
  const name = host.toLowerCase();
  const hosts = ["*", name, `[${name}]`];
  return permitOpen.some((entry) => hosts.some((text) => entry === `${text}:${port}` || entry === `${text}:*`));
}

/** Whether a key with these rights may be used to listen on a port; the host is the device's loopback in any case. */
export function mayListen({ forwarding, permitListen }: KeyRights, port: number): boolean {
  return (
    forwarding && (permitListen === undefined || permitListen.some((entry) => ["*", String(port)].includes(entry)))
  );
}

/** ms since 1970 of `YYYYMMDD[HHMM[SS]][Z]`, in local time unless it ends with Z, as of sshd(8); else undefined. */
export function parseExpiryTime(text: string): number | undefined {
  const match = /^([0-9]{4})([0-9]{2})([0-9]{2})(?:([0-9]{2})([0-9]{2})([0-9]{2})?)?(Z?)$/.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour = "00", minute = "00", second = "00", zone = ""] = match;
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${zone}`);
  // A 31st of June would be taken for the 1st of July.
  const isDate = !Number.isNaN(Date.parse(`${year}-${month}-${day}T00:00:00Z`));
  const isSame = isDate && new Date(`${year}-${month}-${day}T00:00:00Z`).getUTCDate() === Number(day);
  return isSame && !Number.isNaN(time) ? time : undefined;
}

/** A port, with or without a host: only loopback is listened on, so a host that is not loopback permits nothing. */
const PERMIT_LISTEN = /^(?:(?:\*|localhost|127\.0\.0\.1|\[::1\]):)?(\*|[0-9]{1,5})$/;
const PERMIT_OPEN = /^(?:\*|[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?:\*|[0-9]{1,5})$/;
