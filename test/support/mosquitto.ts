import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import { type RunningProcess, startProcess } from "./processes.ts";
import { temporaryFolder } from "./temp-folder.ts";

export interface MosquittoOptions {
  /** Files for TLS; clients must then show a certificate of the same authority, whose common name is their user name. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  /** Its access list, as mosquitto.conf(5) has it. */
  readonly acl?: string;
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
  lines = [],
  isQuiet = false,
}: MosquittoOptions = {}): Promise<Mosquitto> {
  const folder = await temporaryFolder();
  const port = await freePort();
  const configuration = join(folder.path, "mosquitto.conf");
  const aclFile = join(folder.path, "acl");
  if (acl !== undefined) await writeFile(aclFile, acl);
  const secure = tls && [
    `cafile ${tls.ca}`,
    `certfile ${tls.cert}`,
    `keyfile ${tls.key}`,
    "require_certificate true",
    "use_identity_as_username true",
  ];
  const text = [
    "user root", // where root runs it, it would read its files as somebody who cannot; others are who they are
    "persistence false",
    "log_dest stderr",
    ...(isQuiet ? ["error", "warning", "information"].map((type) => `log_type ${type}`) : ["log_type all"]),
    `listener ${port} 127.0.0.1`,
    ...(secure ?? ["allow_anonymous true"]),
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
      await writeFile(aclFile, next);
      globalThis.process.kill(process.pid, "SIGHUP");
      await process.errorLine(/Reloading config/);
    },
    async [Symbol.asyncDispose]() {
      await process.stop();
      await folder.remove();
    },
  };
}
