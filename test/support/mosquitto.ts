import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import { type RunningProcess, runProcess, startProcess } from "./processes.ts";
import { temporaryFolder } from "./temp-folder.ts";

export interface MosquittoOptions {
  /** Files for TLS; clients must then show a certificate of the same authority, whose common name is their user name. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  /** Its access list, as mosquitto.conf(5) has it. */
  readonly acl?: string;
  /** Passwords of those who come in; without them everybody does. */
  readonly passwords?: Readonly<Record<string, string>>;
  /** Where it listens; a free one if not said. */
  readonly port?: number;
  /** More lines of its configuration. */
  readonly lines?: readonly string[];
  /** Logs its start and what is wrong, and not each message. */
  readonly isQuiet?: boolean;
}

/** A real mosquitto on 127.0.0.1 with a configuration of its own. */
export interface Mosquitto extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly process: RunningProcess;
  /** Ends it at once. */
  stop(): Promise<void>;
  /** Starts it again where it was. */
  start(): Promise<void>;
  /** Puts another access list in its place, which counts for what is asked from then on. */
  setAccess(acl: string): Promise<void>;
}

export async function startMosquitto({
  tls,
  acl,
  passwords,
  lines = [],
  isQuiet = false,
  ...at
}: MosquittoOptions = {}): Promise<Mosquitto> {
  const folder = await temporaryFolder();
  const port = at.port ?? (await freePort());
  const configuration = join(folder.path, "mosquitto.conf");
  const aclFile = join(folder.path, "acl");
  if (acl !== undefined) await writeFile(aclFile, acl);
  const passwordFile = join(folder.path, "passwords");
  for (const [user, password] of Object.entries(passwords ?? {})) {
    const words = ["-b", ...(existsSync(passwordFile) ? [] : ["-c"]), passwordFile, user, password];
    const made = await runProcess("mosquitto_passwd", words, { env: { HOME: folder.path } });
    if (made.code !== 0) throw new Error(made.stderr);
  }
  const secure = tls && [
    `cafile ${tls.ca}`,
    `certfile ${tls.cert}`,
    `keyfile ${tls.key}`,
    "require_certificate true",
    "use_identity_as_username true",
    "use_username_as_clientid true",
  ];
  const text = [
    "user root", // where root runs it, it would read its files as somebody who cannot; others are who they are
    "persistence false",
    "log_dest stderr",
    ...(isQuiet ? ["error", "warning", "information"].map((type) => `log_type ${type}`) : ["log_type all"]),
    `listener ${port} 127.0.0.1`,
    ...(secure ?? (passwords ? [`password_file ${passwordFile}`] : ["allow_anonymous true"])),
    ...(acl === undefined ? [] : [`acl_file ${aclFile}`]),
    ...lines,
  ];
  await writeFile(configuration, text.map((line) => `${line}\n`).join(""));
  let process: RunningProcess;
  const start = async (): Promise<void> => {
    process = startProcess("mosquitto", ["-c", configuration], {
      env: { HOME: folder.path, PATH: `${globalThis.process.env["PATH"]}:/usr/sbin` },
    });
    await process.errorLine(/ running$/);
  };
  await start();
  return {
    port,
    url: `${tls === undefined ? "mqtt" : "mqtts"}://127.0.0.1:${port}`,
    get process() {
      return process;
    },
    start,
    stop: async () => void (await process.stop()),
    async setAccess(next) {
      const reloads = (): number => process.stderr.split("Reloading config").length;
      const before = reloads();
      await writeFile(aclFile, next);
      globalThis.process.kill(process.pid, "SIGHUP");
      while (reloads() === before) await new Promise(setImmediate);
    },
    async [Symbol.asyncDispose]() {
      await process.stop();
      await folder.remove();
    },
  };
}
