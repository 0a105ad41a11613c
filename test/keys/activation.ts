import { createHash, randomBytes } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { DirectoryClient } from "../../directory/client.ts";
import { connectAdministration } from "../../directory/admin-socket.ts";
import { activate, type ActivationResult } from "../../keys/cli/activation.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { parseCramSecret } from "../../keys/secret.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { nativeSuite } from "../../protocol/suite/native.ts";
import { type Exit, type RunningProcess, runProcess, startCommand } from "../support/processes.ts";
import { addName } from "../support/one-time-secrets.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

/** A directory as a process of its own, and machines on which names are activated. To be disposed of. */
export class Activations implements AsyncDisposable {
  readonly data: string;
  readonly #folder: TemporaryFolder;
  #directory: RunningProcess;
  #address: string;
  #count = 0;

  private constructor(folder: TemporaryFolder, data: string, directory: RunningProcess, address: string) {
    this.#folder = folder;
    this.data = data;
    this.#directory = directory;
    this.#address = address;
  }

  /** `env` is more of the directory's environment. */
  static async start(env: Readonly<Record<string, string>> = {}): Promise<Activations> {
    const folder = await temporaryFolder();
    const data = join(folder.path, "np");
    const { directory, address } = await serve(folder.path, data, "127.0.0.1:0", env);
    return new Activations(folder, data, directory, address);
  }

  get directory(): RunningProcess {
    return this.#directory;
  }

  /** `http://127.0.0.1:PORT#SHA256:...` */
  get address(): string {
    return this.#address;
  }

  get port(): number {
    return Number(new URL(this.#address).port);
  }

  /** The same directory behind another port, or another one with the same fingerprint. */
  addressAt(port: number): string {
    return `http://127.0.0.1:${port}${new URL(this.#address).hash}`;
  }

  /** A name of its own with its secret, as `sshnp-directory name add` makes them. */
  async newName(): Promise<{ readonly name: string; readonly secret: string }> {
    const name = parseName(`@acme${(this.#count += 1)}`);
    return { name, secret: await this.addName(name) };
  }

  /** A new secret for a name. */
  async addName(text: string): Promise<string> {
    return await addName(this.data, text);
  }

  /** What `sshnp-directory names` knows of a name. */
  async members(name: string): Promise<readonly { readonly member: string; readonly role: string }[]> {
    const administration = await connectAdministration(await PrivateFolder.openOrCreate(this.data));
    const names = await administration?.names();
    const members = names?.find((summary) => summary.name === name)?.members ?? [];
    return members.map(({ member, role }) => ({ member, role }));
  }

  /** A machine with a home folder of its own, which is empty. */
  newMachine(): Machine {
    const home = join(this.#folder.path, `machine${(this.#count += 1)}`);
    mkdirSync(home, { mode: 0o700 });
    return new Machine(home, this.#address);
  }

  /** Kills the directory, and starts it again at the same port. */
  async restart(): Promise<void> {
    await this.#directory.kill("SIGKILL");
    const { directory } = await serve(this.#folder.path, this.data, `127.0.0.1:${this.port}`);
    this.#directory = directory;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#directory.stop();
    await this.#folder.remove();
  }
}

export interface Activating {
  /** What stands in place of `--directory ADDRESS` of the directory; null for no such words. */
  readonly directory?: string | null;
  readonly env?: Readonly<Record<string, string>>;
  /** What is written to stdin, which ends then; null leaves it open. */
  readonly input?: string | null;
}

export class Machine {
  readonly home: string;
  readonly #address: string;

  constructor(home: string, address: string) {
    this.home = home;
    this.#address = address;
  }

  /** Where keys lie by default. */
  get keys(): string {
    return join(this.home, ".local/share/sshnp/keys");
  }

  /** Starts `sshnp-keys activate --directory ADDRESS WORDS`. */
  start(words: readonly string[], { directory, env, input = "" }: Activating = {}): RunningProcess {
    const where = directory === null ? [] : ["--directory", directory ?? this.#address];
    const options = { cwd: this.home, env: { HOME: this.home, ...env } };
    const running = startCommand("sshnp-keys", ["activate", ...where, ...words], options);
    if (input !== null) running.stdin.end(input);
    return running;
  }

  /** The same, to its end. */
  activate(words: readonly string[], activating?: Activating): Promise<Exit> {
    return this.start(words, activating).exit();
  }

  /** The JSON of a key file. */
  keyFile(name: string, member: string, folder: string = this.keys): KeyFile {
    return JSON.parse(readFileSync(join(folder, `${name}.${member}.npkeys`), "utf8")) as KeyFile;
  }

  /** Every file and folder of this machine with its mode, owner and content: two of these are equal when nothing changed. */
  snapshot(): readonly string[] {
    return snapshotOf(this.home);
  }
}

/** The fields that tests look at. */
export interface KeyFile {
  readonly kind: string;
  readonly name: string;
  readonly member: string;
  readonly role: string;
  readonly owner: string;
  readonly directory: string;
  readonly statement: { readonly text: string; readonly signature: string };
  readonly statements: readonly { readonly text: string; readonly signature: string }[];
}

/**
 * An activation in this process, which is faster than one of its own: of a device if one is named, of a client else.
 * Without a secret it can only tell whether all is done.
 */
export async function activateHere(
  system: Activations,
  machine: Machine,
  { name, secret, device }: { readonly name: string; readonly secret?: string; readonly device?: string },
): Promise<ActivationResult> {
  const connect = (address: DirectoryAddress) => new DirectoryClient({ address, suite: nativeSuite, random });
  return await activate(
    { suite: nativeSuite, random, connect },
    {
      name: parseName(name),
      member: parseMember(device ?? clientHere()),
      role: device === undefined ? "client" : "device",
      secret: secret === undefined ? undefined : parseCramSecret(secret),
      directory: parseDirectoryAddress(system.address),
      path: machine.keys,
      ownerKey: undefined,
      newPassphrase: async () => undefined,
      askPassphrase: () => Promise.reject(new Error("there is no passphrase")),
    },
    { signal: AbortSignal.timeout(20_000) },
  );
}

/** What activation calls a client on this machine, made as wire.md says and not as the code does. */
export function clientHere(): string {
  const letters = Array.from((hostname().split(".")[0] ?? "").toLowerCase());
  const fitting = letters.map((letter) => ("abcdefghijklmnopqrstuvwxyz0123456789".includes(letter) ? letter : "-"));
  return `${fitting.join("").slice(0, 29)}-client`;
}

/** See {@link Machine.snapshot}. */
export function snapshotOf(folder: string): string[] {
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).toSorted();
  return ["", ...paths].map((path) => {
    const full = join(folder, path);
    const stats = lstatSync(full);
    const kind = stats.isSymbolicLink() ? `-> ${readlinkSync(full)}` : stats.isFile() ? hashOf(full) : "";
    return `${path} ${stats.mode.toString(8)} ${stats.uid}:${stats.gid} ${kind}`;
  });
}

/** One message on stderr as people get it: a fact, next steps, a code; no stack, nothing that a terminal would obey. */
export function told(exit: Exit): { readonly code: string; readonly fact: string; readonly next: string } {
  const lines = exit.stderr.split("\n");
  const [, fact = ""] = /^sshnp-keys: (\S.*\.|\S.*)$/.exec(lines[0] ?? "") ?? [];
  const steps = lines.slice(1, -2).map((line) => /^ {12}(\S.*)$/.exec(line)?.[1] ?? "");
  const next = steps.includes("") ? "" : steps.join("   ");
  const [, code = ""] = /^ {12}\[(E_[A-Z_]+)\]$/.exec(lines.at(-2) ?? "") ?? [];
  const isWhole = lines.at(-1) === "" && fact !== "" && next !== "" && code !== "";
  if (!isWhole || !/^[\n -~]*$/.test(exit.stderr) || exit.stdout !== "") {
    throw new Error(`not one clear message:\n${exit.stderr}\n--- stdout\n${exit.stdout}`);
  }
  return { code, fact, next };
}

/** Runs any program at home on a machine; throws unless it succeeds; returns its stdout. */
export async function must(machine: Machine, file: string, ...words: string[]): Promise<string> {
  const exit = await runProcess(file, words, { env: { HOME: machine.home } });
  if (exit.code !== 0) throw new Error(`${file} ${words.join(" ")}: ${exit.stderr}`);
  return exit.stdout;
}

function random(length: number): Uint8Array {
  return new Uint8Array(randomBytes(length));
}

async function serve(
  home: string,
  data: string,
  listen: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ directory: RunningProcess; address: string }> {
  const words = ["run", "--data", data, "--listen", listen, "-v"];
  const directory = startCommand("sshnp-directory", words, { env: { HOME: home, ...env } });
  const [address] = await directory.line(/^http:\/\/127\.0\.0\.1:\d+#SHA256:\S{43}$/);
  return { directory, address };
}

function hashOf(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}
