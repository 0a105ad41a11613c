import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DirectoryClient } from "../../directory/client.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { parseCramSecret } from "../../keys/secret.ts";
import { hex, utf8 } from "../../keys/bytes.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { type Exit, type RunningProcess, runCommand, startCommand } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { activate, newPerson, type Person, random, suite } from "./world.ts";

/** A directory of its own process, with what it writes into its audit. */
export class AuditScene implements AsyncDisposable {
  readonly home: TemporaryFolder;
  readonly data: string;
  #directory: RunningProcess | undefined;
  address = "";

  private constructor(home: TemporaryFolder, data: string) {
    this.home = home;
    this.data = data;
  }

  static async start(...words: string[]): Promise<AuditScene> {
    const home = await temporaryFolder();
    const scene = new AuditScene(home, join(home.path, "np"));
    await scene.run(...words);
    return scene;
  }

  get file(): string {
    return join(this.data, "audit.ndjson");
  }

  get directory(): RunningProcess {
    if (this.#directory === undefined) throw new Error("it does not run");
    return this.#directory;
  }

  async run(...words: string[]): Promise<void> {
    const all = ["run", "--data", this.data, "--listen", "127.0.0.1:0", ...words];
    this.#directory = startCommand("sshnp-directory", all, { env: { HOME: this.home.path } });
    [this.address = ""] = await this.#directory.line(/^https?:\/\/.*$/);
  }

  async end(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    await this.directory.kill(signal);
    this.#directory = undefined;
  }

  /** `sshnp-directory audit WORDS`; on the data folder unless they say otherwise. */
  audit(...words: string[]): Promise<Exit> {
    const where = words.some((word) => word === "--data" || word === "--directory") ? [] : ["--data", this.data];
    return this.command("audit", ...words, ...where);
  }

  command(...words: string[]): Promise<Exit> {
    return runCommand("sshnp-directory", words, { env: { HOME: this.home.path } });
  }

  /** A name with a member, activated: two statements in the log. */
  async activated(name: string): Promise<Person> {
    const { stdout } = await this.command("name", "add", name, "--data", this.data);
    const person = newPerson(parseName(name), parseMember("laptop"), "client");
    await activate(this.client(), person, parseCramSecret(stdout));
    return person;
  }

  client(): DirectoryClient {
    return new DirectoryClient({ address: parseDirectoryAddress(this.address), suite, random });
  }

  async lines(): Promise<string[]> {
    return (await readFile(this.file, "utf8")).trimEnd().split("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#directory?.stop();
    await this.home.remove();
  }
}

/** The same lines with their chain made anew from the first on, as whoever has the disk can; they follow line `first - 1`. */
export function chained(lines: readonly string[], first = 1, before = "0".repeat(64)): string[] {
  let prev = before;
  return lines.map((line, at) => {
    const { prev: _, ...fields } = JSON.parse(line) as { readonly prev: string };
    const text = JSON.stringify({ ...fields, n: first + at, prev });
    prev = hex(suite.sha256(utf8(text)));
    return text;
  });
}

export async function writeLines(file: string, lines: readonly string[]): Promise<void> {
  await writeFile(file, lines.map((line) => `${line}\n`).join(""));
}
