import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { type Exit, type RunningProcess, runProcess, startProcess } from "./processes.ts";
import { type TemporaryFolder, temporaryFolder } from "./temp-folder.ts";

const ROOT = join(import.meta.dirname, "../..");
const BUILD_MS = 15 * 60_000; // all images from nothing, packages from the network included, on a busy machine
const COMMAND_MS = 3 * 60_000;
const OF_WHOEVER_RUNS_THIS = [".env", ".keys", "authorized_keys"];
const KEPT_IMAGES = "sshnp-test";

/** Programs with their first words. */
interface Engine {
  readonly compose: readonly string[];
  readonly container: readonly string[];
}

/** What is read of a compose file. */
interface ComposeFile {
  readonly services: Readonly<Record<string, { readonly build?: unknown; readonly image?: string }>>;
}

/**
 * What runs containers here: behind the program that CONTAINER_ENGINE names, which runs podman and docker-compose with a
 * working engine; else Docker, if its daemon answers. Undefined where there is neither.
 */
export const ENGINE: Engine | undefined = findEngine();

function findEngine(): Engine | undefined {
  const program = process.env["CONTAINER_ENGINE"] || undefined;
  if (program !== undefined) {
    // The first call may start a service that goes on with this working folder, so it must be one that stays.
    execFileSync(program, ["podman", "--version"], { cwd: "/", stdio: "ignore" });
    return { compose: [program, "docker-compose"], container: [program, "podman"] };
  }
  const answers = (...words: string[]): boolean => {
    try {
      execFileSync(words[0] ?? "", words.slice(1), { stdio: "ignore", timeout: 20_000 });
      return true;
    } catch {
      return false;
    }
  };
  if (!answers("docker", "info")) return undefined;
  const compose = [["docker", "compose"], ["docker-compose"]].find((words) => answers(...words, "version"));
  return compose === undefined ? undefined : { compose, container: ["docker"] };
}

/**
 * A copy of what stands in the repository, whose compose/ is used as people use theirs: `.env` beside the files, `.keys`
 * made there. Disposing of it removes its projects and all that is theirs, as far as they came.
 */
export class ComposeFolder implements AsyncDisposable {
  readonly #folder: TemporaryFolder;
  readonly #projects: Project[] = [];

  static async make(): Promise<ComposeFolder> {
    const folder = await temporaryFolder();
    chmodSync(folder.path, 0o755);
    for (const name of readdirSync(ROOT)) {
      if (![".git", "node_modules", "dist", "test", "docs"].includes(name)) {
        const filter = (path: string): boolean =>
          !OF_WHOEVER_RUNS_THIS.some((own) => path === join(ROOT, "compose", own));
        cpSync(join(ROOT, name), join(folder.path, name), { recursive: true, filter });
      }
    }
    const made = new ComposeFolder(folder);
    if (process.env["CONTAINER_ENGINE"] !== undefined) made.#leaveHealthChecksToTheTest();
    return made;
  }

  private constructor(folder: TemporaryFolder) {
    this.#folder = folder;
  }

  /** compose/ of the copy. */
  get path(): string {
    return join(this.#folder.path, "compose");
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.path, file), text);
  }

  /** The services of one or more of its files, with variables beside those of `.env`. */
  project(files: readonly string[], env: Readonly<Record<string, string>> = {}): Project {
    const project = new Project(this, files, env);
    this.#projects.push(project);
    return project;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const removed: PromiseSettledResult<void>[] = [];
    for (const project of this.#projects.toReversed()) removed.push(...(await Promise.allSettled([project.remove()])));
    await this.#folder.remove();
    for (const result of removed) if (result.status === "rejected") throw result.reason;
  }

  /**
   * The program behind CONTAINER_ENGINE may run health checks by itself, and its loop may end with the first that fails,
   * as checks do while a service starts. So they stay out of its sight, and healthy() runs the same commands.
   */
  #leaveHealthChecksToTheTest(): void {
    for (const file of readdirSync(this.path).filter((name) => name.endsWith(".yml"))) {
      const text = readFileSync(join(this.path, file), "utf8");
      this.write(file, text.replace(/^( +)healthcheck:\n(?:\1 +.*\n)+/gm, ""));
    }
  }
}

/** The services of one or more compose files, under a project name of the test's own. */
export class Project {
  readonly name: string;
  readonly #folder: ComposeFolder;
  readonly #files: readonly string[];
  readonly #env: Readonly<Record<string, string>>;

  constructor(folder: ComposeFolder, files: readonly string[], env: Readonly<Record<string, string>>) {
    this.name = `np-test-${randomBytes(4).toString("hex")}`;
    this.#folder = folder;
    this.#files = files;
    this.#env = env;
  }

  /** Builds the images, the same one once for all services that have it. */
  async build(): Promise<void> {
    const alike = this.#servicesByBuild();
    const words = this.#words("build", ...alike.map(([first = ""]) => first));
    await whileImagesAreOurs(async () => {
      const exit = await this.#run(words, BUILD_MS);
      if (exit.code !== 0) throw new Error(`building ${this.name} failed\n${exit.stdout.slice(-5000)}${exit.stderr}`);
      await this.#keepLayers(alike);
    });
  }

  /** Services that are built, those of one image together. */
  #servicesByBuild(): readonly (readonly string[])[] {
    const alike = new Map<string, string[]>();
    for (const file of this.#files) {
      const text = readFileSync(join(this.#folder.path, file), "utf8");
      const { services }: ComposeFile = parse(text, { merge: true });
      for (const [service, { build, image }] of Object.entries(services)) {
        if (build === undefined) continue;
        const key = JSON.stringify([build, image]);
        alike.set(key, [...(alike.get(key) ?? []), service]);
      }
    }
    return [...alike.values()];
  }

  /**
   * Names the images for the services that were not built by themselves. Images that this project built go with it, and the
   * layers below them as well: one tag for each service, which every run moves on to its newest image, keeps them for the next build.
   */
  async #keepLayers(alike: readonly (readonly string[])[]): Promise<void> {
    const images = await this.container("images", "--format", "{{.ID}} {{.Repository}}");
    const lines = images.split("\n").map((line) => line.split(" "));
    for (const [id = "", repository = ""] of lines) {
      const [, service] = new RegExp(`${this.name}[_-](.+)$`).exec(repository) ?? [];
      if (service === undefined) continue;
      const others = alike.find(([first]) => first === service)?.slice(1) ?? [];
      for (const other of others) await this.container("tag", id, repository.slice(0, -service.length) + other);
      const kept = `${KEPT_IMAGES}/${service}`;
      const before = lines.find(([, name = ""]) => name.endsWith(kept))?.[0];
      await this.container("tag", id, kept);
      if (before !== undefined && before !== id) await this.container("rmi", before).catch(() => {}); // others may use it
    }
  }

  /** Waits until the health check of a service passes, or fails. */
  async untilHealthy(service: string, { healthy = true, timeoutMs = COMMAND_MS } = {}): Promise<void> {
    const deadline = AbortSignal.timeout(timeoutMs);
    while ((await this.isHealthy(service)) !== healthy) {
      if (deadline.aborted) {
        const { stdout } = await this.run("logs", "--no-color", "--tail", "50", service);
        throw new Error(`${service} of ${this.name} did not become ${healthy ? "" : "un"}healthy\n${stdout}`);
      }
    }
  }

  /** Starts all services, and lets none be missed by others when it goes. */
  async up(): Promise<void> {
    await this.must("up", "-d");
    if (process.env["CONTAINER_ENGINE"] !== undefined) await this.#keepBridges();
  }

  /**
   * podman's bridges take their addresses from one of their ports: when that container goes, the others go on asking at the old
   * one for their DNS server, for up to half a minute. An address that is set stays, as with Docker.
   */
  async #keepBridges(): Promise<void> {
    const names = (await this.container("network", "ls", "--format", "{{.Name}}")).split("\n");
    for (const name of names.filter((found) => found.startsWith(`${this.name}_`))) {
      const bridge = await this.container("network", "inspect", "--format", "{{.NetworkInterface}}", name);
      const address = readFileSync(`/sys/class/net/${bridge}/address`, "utf8").trim();
      mustSucceed([bridge], await this.#run(["ip", "link", "set", "dev", bridge, "address", address], COMMAND_MS));
    }
  }

  /** Runs a compose command. */
  run(...words: string[]): Promise<Exit> {
    return this.#run(this.#words(...words), COMMAND_MS);
  }

  /** Runs a compose command that must succeed, and returns what it prints. */
  async must(...words: string[]): Promise<string> {
    return mustSucceed(words, await this.run(...words)).stdout.trim();
  }

  /** Runs a command in the container of a service. */
  exec(service: string, ...words: string[]): Promise<Exit> {
    return this.run("exec", "-T", service, ...words);
  }

  /** Starts a command in the container of a service. */
  startExec(service: string, ...words: string[]): RunningProcess {
    const [file = "", ...args] = this.#words("exec", "-T", service, ...words);
    return startProcess(file, args, this.#options);
  }

  /** Runs a command in the container of a service that must succeed, and returns what it prints. */
  async mustExec(service: string, ...words: string[]): Promise<string> {
    return mustSucceed(words, await this.exec(service, ...words)).stdout.trim();
  }

  /** What the engine says of the container of a service, in a Go template; also of one that has ended. */
  async inspect(service: string, template: string): Promise<string> {
    const id = (await this.must("ps", "--all", "--quiet", service)).split("\n").at(-1) ?? "";
    return await this.container("inspect", "--format", template, id);
  }

  /** Runs a command of the engine's own. */
  async container(...words: string[]): Promise<string> {
    return mustSucceed(words, await this.#run([...(ENGINE?.container ?? []), ...words], COMMAND_MS)).stdout.trim();
  }

  /** Whether the health check that the files set for a service passes now. */
  async isHealthy(service: string): Promise<boolean> {
    return (await this.exec(service, ...this.#healthCheck(service))).code === 0;
  }

  /** Removes containers, networks, volumes and images. */
  async remove(): Promise<void> {
    await this.must("down", "--volumes", "--remove-orphans", "--timeout", "5");
    await this.removeImages();
  }

  /** Removes the images, and what runs of them. */
  async removeImages(): Promise<void> {
    await whileImagesAreOurs(() => this.must("down", "--rmi", "local"));
  }

  #healthCheck(service: string): string[] {
    const texts = this.#files.map((file) => join(ROOT, "compose", file)).filter((file) => existsSync(file));
    for (const text of texts.map((file) => readFileSync(file, "utf8"))) {
      const [, own = ""] = new RegExp(`^  ${service}:\\n((?:(?:    .*)?\\n)+)`, "m").exec(text) ?? [];
      const [, anchor] = /^ {4}<<: \*(.+)$/m.exec(own) ?? [];
      const merged = anchor === undefined ? "" : (text.split(`&${anchor}\n`)[1]?.split("\n\n")[0] ?? "");
      const [, check] =
        /healthcheck:\n +test: (\["CMD", .+\])/.exec(own) ?? /healthcheck:\n +test: (\["CMD", .+\])/.exec(merged) ?? [];
      if (check === undefined) continue;
      const filled = check.replace(
        /\$\{(\w+):-([^}]*)\}/g,
        (_, name: string, other: string) => this.#env[name] ?? other,
      );
      return (JSON.parse(filled) as string[]).slice(1);
    }
    throw new Error(`${service} has no health check`);
  }

  #words(...words: string[]): string[] {
    const files = this.#files.flatMap((file) => ["-f", file]);
    return [...(ENGINE?.compose ?? []), "-p", this.name, ...files, ...words];
  }

  get #options() {
    return { env: { HOME: this.#folder.path, ...this.#env }, cwd: this.#folder.path };
  }

  #run([file = "", ...args]: readonly string[], timeoutMs: number): Promise<Exit> {
    return runProcess(file, args, { ...this.#options, timeoutMs });
  }
}

/**
 * One at a time of all test files, because a build looks at every image that there is, and fails when one goes meanwhile
 * ("layer not known"). Whoever has the lock has it until its process ends.
 */
async function whileImagesAreOurs(work: () => Promise<unknown>): Promise<void> {
  const words = [join(tmpdir(), "np-images.lock"), "sh", "-c", "echo ours; cat"];
  await using lock = startProcess("flock", words, { env: { HOME: tmpdir() } });
  await lock.line(/^ours$/, { timeoutMs: BUILD_MS });
  await work();
}

function mustSucceed(words: readonly string[], exit: Exit): Exit {
  if (exit.code === 0) return exit;
  throw new Error(`${words.join(" ")}: status ${exit.code}\n${exit.stdout.slice(-3000)}${exit.stderr.slice(-3000)}`);
}
