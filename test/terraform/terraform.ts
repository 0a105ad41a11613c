import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Exit, runProcess } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { TERRAFORM } from "./configuration.ts";
import schema from "./aws-schema.json" with { type: "json" };

export const HAS_TERRAFORM = (process.env["PATH"] ?? "")
  .split(delimiter)
  .some((folder) => existsSync(join(folder, "terraform")));

/** A copy of terraform/ in which terraform runs, with a provider that makes nothing (schema-provider.mjs) in place of AWS's. */
export class Sandbox implements AsyncDisposable {
  readonly #folder: TemporaryFolder;
  readonly #env: Readonly<Record<string, string>> & { readonly HOME: string };

  static async open(): Promise<Sandbox> {
    return new Sandbox(await temporaryFolder());
  }

  private constructor(folder: TemporaryFolder) {
    this.#folder = folder;
    cpSync(TERRAFORM, join(folder.path, "terraform"), {
      recursive: true,
      filter: (path) => !path.includes("/.terraform"),
    });
    const { provider } = schema;
    const host = ["registry", "terraform", "io"].join("."); // which terraform takes where none is named; it is not asked
    const place = join(folder.path, "mirror", host, `hashicorp/aws/${provider}/linux_amd64`);
    mkdirSync(place, { recursive: true });
    const file = join(place, `terraform-provider-aws_v${provider}`);
    const [key, certificate] = [join(folder.path, "key.pem"), join(folder.path, "certificate.pem")];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    const kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    execFileSync("openssl", [...kind, ...subject, "-keyout", key, "-out", certificate], { stdio: "pipe" });
    writeFileSync(
      file,
      `#!/bin/sh\nexec "${process.execPath}" "${join(import.meta.dirname, "schema-provider.mjs")}" "${key}" "${certificate}"\n`,
    );
    chmodSync(file, 0o755);
    const configuration = join(folder.path, "terraformrc");
    writeFileSync(
      configuration,
      `disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = ${JSON.stringify(join(folder.path, "mirror"))}\n  }\n}\n`,
    );
    this.#env = { HOME: folder.path, TF_CLI_CONFIG_FILE: configuration, TF_IN_AUTOMATION: "1", NO_COLOR: "1" };
  }

  /** A path in it, of one below terraform/. */
  path(...parts: readonly string[]): string {
    return join(this.#folder.path, "terraform", ...parts);
  }

  /** `terraform WORDS` in a folder below terraform/. @throws when it fails, unless that is expected. */
  async terraform(folder: string, words: readonly string[], { mayFail = false } = {}): Promise<Exit> {
    const [verb = "", ...rest] = words;
    const exit = await runProcess("terraform", [verb, "-no-color", ...rest], {
      ...{ cwd: this.path(folder), env: this.#env, timeoutMs: 120_000 },
    });
    if (exit.code !== 0 && !mayFail)
      throw new Error(`terraform ${words.join(" ")} in ${folder}:\n${exit.stdout}${exit.stderr}`);
    return exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder.remove();
  }
}
