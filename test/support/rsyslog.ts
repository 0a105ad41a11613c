import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { type RunningProcess, startProcess } from "./processes.ts";
import { temporaryFolder } from "./temp-folder.ts";

/** What rsyslog has read of a message. */
export interface Received {
  readonly pri: string;
  readonly "app-name": string;
  readonly hostname: string;
  readonly msgid: string;
  readonly timereported: string;
  readonly "structured-data": string;
  readonly msg: string;
}

/** Debian's rsyslog, which takes syslog over TCP and writes down what it understands of it. */
export interface Rsyslog extends AsyncDisposable {
  readonly port: number;
  readonly process: RunningProcess;
  received(): Promise<Received[]>;
}

export async function startRsyslog(port = 0): Promise<Rsyslog> {
  const folder = await temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  await writeFile(
    at("rsyslog.conf"),
    `global(workDirectory="${folder.path}" maxMessageSize="128k" internalmsg.severity="debug")
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="${port}" listenPortFileName="${at("port")}" ruleset="audit")
template(name="parsed" type="list") { property(name="jsonmesg") constant(value="\\n") }
ruleset(name="audit") { action(type="omfile" file="${at("received")}" template="parsed") }
`,
  );
  const process = startProcess("rsyslogd", ["-n", "-f", at("rsyslog.conf"), "-i", at("pid")], {
    env: { HOME: folder.path, PATH: `${globalThis.process.env["PATH"]}:/usr/sbin` },
  });
  const text = (name: string): Promise<string> => readFile(at(name), "utf8").catch(() => "");
  await expect.poll(() => text("port"), { timeout: 20_000 }).toMatch(/^[0-9]+$/);
  return {
    port: Number(await text("port")),
    process,
    received: async () =>
      (await text("received"))
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Received),
    async [Symbol.asyncDispose]() {
      await process.stop();
      await folder.remove();
    },
  };
}
