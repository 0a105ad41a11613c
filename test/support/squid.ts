import { randomBytes } from "node:crypto";
import { chown, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { freePort } from "./free-port.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "./ordinary-user.ts";
import { type RunInside, type RunningProcess, startProcess } from "./processes.ts";
import { temporaryFolder } from "./temp-folder.ts";

/** What squid admits as PROXY_USER with PROXY_PASSWORD. */
export const PROXY_USER = "alice";
export const PROXY_PASSWORD = "correct horse: 9?";
const PASSWORD_FILE = `${PROXY_USER}:$apr1$12345678$DIMW4LSLhwJPe2KgrW.ta/\n`;

export interface SquidOptions {
  /** Where it runs and listens; 127.0.0.1 and a free port where it is not said. */
  readonly at?: { readonly namespace: RunInside; readonly address: string; readonly port: number };
  /** Whether it asks for a password. */
  readonly asksPassword?: boolean;
  /** The only ports that it connects to; all when not said. */
  readonly ports?: readonly number[];
  /** Names that it knows to lead to 127.0.0.1. */
  readonly names?: readonly string[];
  /** PEM; then it speaks TLS itself. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** A real squid with a configuration of its own, as an ordinary user where the test is root. */
export interface Squid extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** A line for each request that is over: `CONNECT HOST:PORT STATUS USER`. */
  log(): Promise<readonly string[]>;
}

export async function startSquid(options: SquidOptions = {}): Promise<Squid> {
  const { at, asksPassword = false, ports, names = [], tls } = options;
  const user: OrdinaryUser | undefined = CAN_MAKE_USERS ? await ordinaryUser() : undefined;
  const folder = await temporaryFolder();
  const service = `squid${randomBytes(6).toString("hex")}`; // of its shared memory, too
  let squid: RunningProcess | undefined;
  const dispose = async (): Promise<void> => {
    await squid?.stop();
    for (const left of await readdir(SHARED_MEMORY).catch(() => [])) {
      if (left.startsWith(`${service}-`)) await rm(join(SHARED_MEMORY, left), { force: true });
    }
    await user?.remove();
    await folder.remove();
  };
  try {
    const home = user?.home ?? folder.path;
    const data = join(home, "squid");
    await mkdir(data);
    const file = async (name: string, text: string): Promise<string> => {
      await writeFile(join(data, name), text);
      return join(data, name);
    };
    const host = at?.address ?? "127.0.0.1";
    const port = at?.port ?? (await freePort());
    const log = await file("access.log", "");
    const door =
      tls === undefined
        ? `http_port ${host}:${port}`
        : `https_port ${host}:${port} tls-cert=${await file("tls.pem", tls.cert + tls.key)}`;
    const lines = [
      door,
      "pid_filename none",
      "visible_hostname proxy.test",
      "logformat test %rm %ru %>Hs %un",
      `access_log stdio:${log} logformat=test`,
      "buffered_logs off",
      "dns_nameservers 127.0.0.1", // nothing is looked up outside
      "dns_timeout 1 second",
      `hosts_file ${await file("hosts", names.map((one) => `127.0.0.1 ${one}\n`).join(""))}`,
      `cache_log ${join(data, "cache.log")}`,
      "cache deny all",
      "cache_mem 4 MB",
      "cache_store_log none",
      "netdb_filename none",
      "pinger_enable off",
      `coredump_dir ${data}`,
      "shutdown_lifetime 0 seconds",
      ...(asksPassword
        ? [
            `auth_param basic program ${AUTHENTICATOR} ${await file("passwords", PASSWORD_FILE)}`,
            "auth_param basic children 1 startup=1 idle=1",
            "auth_param basic realm test",
            "acl known proxy_auth REQUIRED",
          ]
        : []),
      ...(ports === undefined ? [] : [`acl permitted port ${ports.join(" ")}`, "http_access deny !permitted"]),
      ...(asksPassword ? ["http_access deny !known"] : []),
      "http_access allow all",
    ];
    const configuration = await file("squid.conf", lines.map((line) => `${line}\n`).join(""));
    if (user !== undefined) {
      for (const path of [data, log, configuration]) await chown(path, user.uid, user.gid);
    }
    squid = startProcess("squid", ["-N", "-d", "1", "-n", service, "-f", configuration], {
      env: { HOME: home, PATH: `${process.env["PATH"]}:/usr/sbin` },
      cwd: dirname(data),
      ...(user !== undefined && { user }),
      ...(at !== undefined && { namespace: at.namespace }),
    });
    await squid.errorLine(/Accepting (?:HTTP|HTTPS|SSL)/);
    return {
      host,
      port,
      log: async () => (await readFile(log, "utf8")).split("\n").filter((line) => line !== ""),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

const SHARED_MEMORY = "/dev/shm";
const AUTHENTICATOR = "/usr/lib/squid/basic_ncsa_auth";
