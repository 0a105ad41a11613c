import type { MemberName, Name } from "../../keys/names.ts";
import type { LoginAccount } from "./login-account.ts";

/** Who is at the other end of a connection, as the daemon has found out. */
export interface Visitor {
  readonly client: Name;
  readonly member: MemberName;
  /** The login of the session's request, and then no other is admitted; empty when it named none. */
  readonly login: string;
}

/** The environment of what an account runs: nothing of the daemon's own, and of the client's what may be there. */
export function environmentOf(
  account: LoginAccount,
  { client, member }: Visitor,
  fromClient: ReadonlyMap<string, string>,
): Record<string, string> {
  return {
    ...Object.fromEntries(fromClient),
    HOME: account.home,
    USER: account.login,
    LOGNAME: account.login,
    SHELL: account.shell,
    PATH: account.uid === 0 ? ROOT_PATH : USER_PATH,
    // Programs look at these two to see that they run behind ssh; there are no addresses to tell.
    SSH_CLIENT: "127.0.0.1 0 0",
    SSH_CONNECTION: "127.0.0.1 0 127.0.0.1 0",
    SSHNP_VISITOR: `${client}/${member}`,
  };
}

/**
 * Whether a client may set this variable: names of locales and colours, as common settings of AcceptEnv have it, with values
 * that are such names. Nothing that a shell or the C library takes for a path may come in: some of it runs as root first.
 */
export function isAccepted(name: string, value: string): boolean {
  return NAME.test(name) && VALUE.test(value);
}

/** The type of terminal that a client named, or `dumb` when that is no name. */
export function terminalType(text: string): string {
  return TERM.test(text) ? text : "dumb";
}

const NAME = /^(?:LANG|LANGUAGE|LC_[A-Z]{1,32}|COLORTERM|NO_COLOR)$/;
const VALUE = /^[\w.@:,+= -]{0,256}$/;
const TERM = /^[\w.+-]{1,64}$/;
const USER_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";
const ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
