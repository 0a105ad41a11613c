import { chownSync, copyFileSync, cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../../support/ordinary-user.ts";
import {
  type Exit,
  type ProcessOptions,
  type RunningProcess,
  runCommand,
  runProcess,
  startProcess,
  type WaitOptions,
} from "../../support/processes.ts";
import { Stack } from "../../support/stack.ts";

/**
 * How a device comes by its SSH server, as `sshnpd --ssh-mode` has it: `tcp` is an OpenSSH server on its loopback. The other two
 * read the authorized_keys of whoever logs in, so that only users whom the test makes can.
 */
export const DEVICE_MODES: readonly DeviceMode[] = CAN_MAKE_USERS ? ["tcp", "inetd", "builtin"] : ["tcp"];
export type DeviceMode = "tcp" | "inetd" | "builtin";

export const HOST = "mygateway.device.np";

export async function startDevice(mode: DeviceMode): Promise<Stack> {
  return await Stack.start({ withoutTap: true, daemon: mode === "tcp" ? [] : ["--ssh-mode", mode] });
}

/**
 * Somebody whose ssh has been set up by `sshnp ssh-config --install`, who has keys of @client, and who logs in to the device under
 * the name that they have here. From then on no command of theirs says sshnp.
 */
export class Person implements AsyncDisposable {
  /** Where their files are; the device has the same disk. */
  readonly home: string;
  readonly #configuration: string | undefined;
  readonly #user: OrdinaryUser | undefined;

  private constructor(home: string, file: string | undefined, user: OrdinaryUser | undefined) {
    this.home = home;
    this.#configuration = file;
    this.#user = user;
  }

  /** Whoever runs the tests, with a configuration of the test's own: every program is told of it by its `-F`. */
  static async withFile(stack: Stack, ...options: string[]): Promise<Person> {
    const { home } = stack.client;
    const file = join(home, "ssh/config");
    mkdirSync(join(home, "ssh"), { mode: 0o700 });
    writeFileSync(file, configuration(stack.sshd.identityFile));
    await stack.client.must("sshnp", "ssh-config", "--install", "--file", file, ...options);
    return new Person(home, file, undefined);
  }

  /** An ordinary user with ~/.ssh/config: programs are called as everybody calls them. */
  static async ordinary(stack: Stack, ...options: string[]): Promise<Person> {
    const user = await ordinaryUser();
    const ssh = join(user.home, ".ssh");
    mkdirSync(ssh, { mode: 0o700 });
    copyFileSync(stack.sshd.identityFile, join(ssh, "id_ed25519"));
    writeFileSync(join(ssh, "config"), configuration("~/.ssh/id_ed25519"), { mode: 0o600 });
    cpSync(join(stack.client.home, ".local"), join(user.home, ".local"), { recursive: true });
    writeFileSync(join(ssh, "authorized_keys"), `${stack.sshd.identity}\n`, { mode: 0o600 });
    giveTo(user, ssh);
    giveTo(user, join(user.home, ".local"));
    const person = new Person(user.home, undefined, user);
    const exit = await runCommand("sshnp", ["ssh-config", "--install", ...options], person.options);
    if (exit.code !== 0) throw new Error(exit.stderr);
    return person;
  }

  get user(): OrdinaryUser | undefined {
    return this.#user;
  }

  get options(): ProcessOptions {
    return { env: { HOME: this.home, ...GIT }, cwd: this.home, ...(this.#user && { user: this.#user }) };
  }

  /** The words of one of OpenSSH's programs, or of one that starts ssh. */
  words(program: Program, ...words: string[]): [string, ...string[]] {
    const file = this.#configuration;
    if (file === undefined) return [program, ...words];
    if (program === "rsync") return [program, "-e", `ssh -F ${file}`, ...words];
    if (program === "git") return [program, "-c", `core.sshCommand=ssh -F ${file}`, ...words];
    if (program === "ansible-playbook") return [program, `--ssh-common-args=-F ${file}`, ...words];
    return [program, "-F", file, ...words];
  }

  start(program: Program, ...words: string[]): RunningProcess {
    const [file, ...rest] = this.words(program, ...words);
    return startProcess(file, rest, this.options);
  }

  async run(program: Program, ...words: string[]): Promise<Exit> {
    return await this.start(program, ...words).exit(PATIENCE);
  }

  /** Runs what must succeed; returns what it prints. */
  async must(program: Program, ...words: string[]): Promise<string> {
    const exit = await this.run(program, ...words);
    if (exit.code !== 0) throw new Error(`${program} ${words.join(" ")}: status ${exit.code}\n${exit.stderr}`);
    return exit.stdout;
  }

  /** `"$@"` in the script is one of the programs. */
  async shell(script: string, ...program: Parameters<Person["words"]>): Promise<Exit> {
    return await runProcess("bash", ["-c", script, "bash", ...this.words(...program)], {
      ...this.options,
      ...PATIENCE,
    });
  }

  /** A file or folder of theirs, which the device sees too. */
  path(name: string): string {
    return join(this.home, name);
  }

  /** Makes a folder that is theirs, and whatever `fill` puts into it. */
  folder(name: string, fill: (path: string) => void = () => {}): string {
    const path = this.path(name);
    mkdirSync(path);
    fill(path);
    if (this.#user !== undefined) giveTo(this.#user, path);
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run("ssh", "-O", "exit", HOST); // a connection that others share would go on for a minute
    await this.#user?.remove();
  }
}

export type Program = "ssh" | "scp" | "sftp" | "rsync" | "git" | "ansible-playbook";

const PATIENCE: WaitOptions = { timeoutMs: 120_000 };
/** Git must neither read what whoever runs the tests has set, nor ask who they are. */
const GIT = {
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_AUTHOR_NAME: "A",
  GIT_AUTHOR_EMAIL: "a@example.org",
  GIT_COMMITTER_NAME: "A",
  GIT_COMMITTER_EMAIL: "a@example.org",
};

/** What somebody had there before. */
function configuration(identityFile: string): string {
  return `Host *\n  IdentityFile ${identityFile}\n  IdentitiesOnly yes\n  IdentityAgent none\n  BatchMode yes\n  ForwardAgent yes\n`;
}

function giveTo({ uid, gid }: OrdinaryUser, path: string): void {
  chownSync(path, uid, gid);
  for (const entry of readdirSync(path, { recursive: true, encoding: "utf8" })) chownSync(join(path, entry), uid, gid);
}
