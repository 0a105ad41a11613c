/**
 * Terraform itself, where there is one: it plans and applies every example with a provider that has AWS's schema and makes nothing, so
 * that every expression is evaluated, and what would be sent to AWS can be looked at.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { isAllowed, type Policy } from "./policy.ts";
import { rendered } from "./template.ts";
import { HAS_TERRAFORM, Sandbox } from "./terraform.ts";

const FINGERPRINT = "SHA256:zoDFW6rP8ngC8URg2sG/m9Rij43qu8M++V+B72RnQQs";
const VARIABLES = {
  database_ca_file: "tests/ca.pem",
  image_repository_arn: "arn:aws:ecr:eu-west-1:111122223333:repository/np/directory",
  images: {
    directory: `111122223333.dkr.ecr.eu-west-1.amazonaws.com/np/directory@sha256:${"1".repeat(64)}`,
    device: `111122223333.dkr.ecr.eu-west-1.amazonaws.com/np/device@sha256:${"2".repeat(64)}`,
    agent: `public.ecr.aws/cloudwatch-agent/cloudwatch-agent@sha256:${"3".repeat(64)}`,
  },
};
const LATER = { fingerprint: FINGERPRINT };
const OWNED = { ...LATER, owner: `@device=${FINGERPRINT}` };
const EXAMPLES: Readonly<Record<string, readonly object[]>> = {
  bootstrap: [{}],
  minimal: [VARIABLES, { ...VARIABLES, ...OWNED }],
  ha: [
    {
      ...{ ...VARIABLES, ...OWNED, managers: [`@client=${FINGERPRINT}`] },
      ...{ dns: { host_name: "np.example.org", zone_id: "Z0123456789ABC" }, https: true },
      broker: { device_ca_file: "tests/ca.pem", request_file: "tests/request.pem" },
    },
  ],
  multi_region: [{ ...VARIABLES, ...LATER }],
};

interface Resource {
  readonly address: string;
  readonly type: string;
  readonly values: Readonly<Record<string, unknown>>;
}
interface Module {
  readonly resources?: readonly Resource[];
  readonly child_modules?: readonly Module[];
}
interface State {
  readonly values: {
    readonly root_module: Module;
    readonly outputs?: Readonly<Record<string, { readonly value: unknown }>>;
  };
}

describe.runIf(HAS_TERRAFORM)("terraform", () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await Sandbox.open();
  });
  afterAll(() => sandbox[Symbol.asyncDispose]());

  test("all files are as terraform fmt writes them", async () => {
    const { stdout } = await sandbox.terraform(".", ["fmt", "-check", "-recursive", "-diff"]);
    expect(stdout).toBe("");
  });

  test("a mistake is found", async () => {
    await sandbox.terraform("modules/network", ["init"]);
    writeFileSync(sandbox.path("modules/network/mistake.tf"), 'resource "aws_eip" "mistake" {\n  domain = [true]\n}\n');
    const { code, stderr } = await sandbox.terraform("modules/network", ["validate"], { mayFail: true });
    writeFileSync(sandbox.path("modules/network/mistake.tf"), "");
    expect(code).toBe(1);
    expect(stderr).toContain('Inappropriate value for attribute "domain"');
  });

  test("tests beside modules and examples pass, and what they say must fail fails", { timeout: 300_000 }, async () => {
    for (const folder of ["modules/naming", ...Object.keys(EXAMPLES).map((name) => `examples/${name}`)]) {
      await sandbox.terraform(folder, ["init", "-backend=false"]);
      const { stdout } = await sandbox.terraform(folder, ["test"]);
      expect(stdout).toMatch(/Success! [1-9][0-9]* passed, 0 failed/);
    }
  });

  describe.each(Object.entries(EXAMPLES))("the example %s", (name, steps) => {
    const folder = `examples/${name}`;
    let state: State;
    let all: Resource[];
    let text: string;

    beforeAll(async () => {
      // The state lies beside it, in place of a bucket.
      const file = sandbox.path(folder, name === "bootstrap" ? "main.tf" : "versions.tf");
      writeFileSync(file, readFileSync(file, "utf8").replace(/ {2}backend "s3" \{[\s\S]*?\n {2}\}\n/, ""));
      await sandbox.terraform(folder, ["init", "-reconfigure"]);
      for (const variables of steps) {
        writeFileSync(sandbox.path(folder, "terraform.tfvars.json"), JSON.stringify(variables));
        await sandbox.terraform(folder, ["apply", "-input=false", "-auto-approve"]);
      }
      const { stdout } = await sandbox.terraform(folder, ["show", "-json"]);
      state = JSON.parse(stdout) as State;
      const of = (module: Module): Resource[] => [
        ...(module.resources ?? []),
        ...(module.child_modules ?? []).flatMap(of),
      ];
      all = of(state.values.root_module);
      text = readFileSync(sandbox.path(folder, "terraform.tfstate"), "utf8");
    }, 300_000);

    const values = (type: string): Resource["values"][] =>
      all.filter((each) => each.type === type).map((each) => each.values);

    test("once applied has nothing left to change", async () => {
      const { stdout } = await sandbox.terraform(folder, ["plan", "-input=false", "-detailed-exitcode"]);
      expect(stdout).toContain("No changes");
    });

    test("has no secret in its state", () => {
      expect(text.match(/EPHEMERAL-[0-9]*/g)).toBeNull(); // what every ephemeral value begins with
      for (const secret of values("aws_secretsmanager_secret_version"))
        expect(secret).toMatchObject({ secret_string_wo: null });
      for (const each of values("aws_launch_template")) {
        const userData = Buffer.from(String(each["user_data"]), "base64").toString();
        expect(parse(userData)).toMatchObject({ write_files: expect.any(Array) });
        expect(userData).not.toContain("PRIVATE KEY");
      }
    });

    test("has policies that are policies, and allow nobody everything", () => {
      const policies = all
        .flatMap(({ address, values: each }) =>
          ["policy", "assume_role_policy"].flatMap((key) =>
            typeof each[key] === "string" && each[key].startsWith("{")
              ? [{ address, policy: JSON.parse(each[key]) as Policy }]
              : [],
          ),
        )
        .filter(({ policy }) => typeof policy === "object" && "Statement" in policy);
      expect(policies.length).toBeGreaterThan(0);
      for (const { address, policy } of policies) {
        for (const action of ["iam:PassRole", "secretsmanager:PutSecretValue", "iot:AttachThingPrincipal"]) {
          if (address.includes("provisioning") && action.startsWith("iot:")) continue;
          expect({
            address,
            action,
            isAllowed: isAllowed(policy, { action, resource: "arn:aws:iam::111122223333:role/x", context: {} }),
          }).toMatchObject({ isAllowed: false });
        }
      }
    });

    test("has tags on what has tags", () => {
      const untagged = all
        .filter(({ values: each }) => "tags" in each && each["tags"] === null && name !== "bootstrap")
        .map(({ address }) => address);
      expect(untagged).toEqual([]);
    });

    if (name === "ha") {
      test("has templates rendered as they are rendered without terraform", () => {
        const here = { partition: "aws", region: "eu-west-1", account: "111122223333" };
        const [device, directory] = values("aws_iot_policy").map((each) => each["policy"]);
        const things = { ...here, directory: "85e22955a32cfe7233986812be297632" };
        expect(device).toBe(rendered("modules/iot/policies/device.json.tftpl", things));
        expect(directory).toBe(rendered("modules/iot/policies/directory.json.tftpl", things));
        const [role] = all.filter(({ address }) => address === 'module.rendezvous.aws_iam_role.this["rz1"]');
        const trust = rendered("modules/rendezvous/policies/assume.json.tftpl", { account: here.account });
        expect(role?.values["assume_role_policy"]).toBe(trust);
        const [cloudInit] = [String(state.values.outputs?.["device_cloud_init"]?.value)];
        const files = parse(cloudInit) as { write_files: { path: string; content: string }[] };
        const [compose] = files.write_files.map(({ content }) => content);
        expect(cloudInit).toBe(
          rendered("modules/device_bootstrap/cloud-init.yaml.tftpl", {
            packages: JSON.stringify(["docker.io", "docker-compose-v2"]),
            compose: compose ?? "",
            enroll: readFileSync(sandbox.path("modules/device_bootstrap/enroll")).toString("base64"),
          }),
        );
      });
    }

    if (name !== "bootstrap") {
      test("starts containers as the image has them: entry points, environment, health checks, time to end", () => {
        const definitions = values("aws_ecs_task_definition");
        expect(definitions.length).toBe(name === "minimal" ? 1 : name === "ha" ? 3 : 2);
        for (const definition of definitions) {
          const [directory] = JSON.parse(String(definition["container_definitions"])) as [
            { environment: { name: string; value: string }[] },
          ];
          expect(directory).toMatchObject({
            ...{ command: ["directory"], user: "1000:1000", readonlyRootFilesystem: true, stopTimeout: 60 },
            healthCheck: { command: ["CMD", "healthz", "7800"] },
          });
          const environment = Object.fromEntries(directory.environment.map((each) => [each.name, each.value]));
          expect(environment["STORE"]).toMatch(
            /^postgres:\/\/sshnp@[^:]+:5432\/sshnp\?sslmode=verify-full&sslrootcert=/,
          );
          expect(environment["MQTT"]).toBe(
            name === "ha" ? "mqtts://abcdefghij-ats.iot.eu-west-1.amazonaws.com:8883" : "",
          );
        }
      });

      test("puts out what clients and devices need", () => {
        const outputs = Object.fromEntries(
          Object.entries(state.values.outputs ?? {}).map(([key, { value }]) => [key, value]),
        );
        const url =
          name === "ha"
            ? "https://np.example.org"
            : "http://np-directory-0123456789abcdef.elb.eu-west-1.amazonaws.com:7800";
        expect(outputs).toMatchObject({
          ...{ directory_url: url, directory_address: `${url}#${FINGERPRINT}` },
          client_configuration: `directory = "${url}#${FINGERPRINT}"\n`,
        });
        expect(Object.keys(outputs["rendezvous_addresses"] as object).length).toBe(
          name === "minimal" ? 1 : name === "ha" ? 2 : 6,
        );
        if (name === "ha") expect(outputs["iot_endpoint"]).toMatch(/^[a-z]+-ats\.iot\./);
        if (name !== "multi_region")
          expect(parse(String(outputs["device_cloud_init"]))).toMatchObject({ runcmd: expect.any(Array) });
      });
    }

    test("goes again as it came", async () => {
      await sandbox.terraform(folder, ["destroy", "-input=false", "-auto-approve"]);
      const { stdout } = await sandbox.terraform(folder, ["show", "-json"]);
      expect(JSON.parse(stdout)).not.toHaveProperty("values.root_module");
    });
  });
});
