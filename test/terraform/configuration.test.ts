import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type Configuration, configurations, list, object, TERRAFORM, textsOf } from "./configuration.ts";
import { callProblems, referenceProblems } from "./references.ts";
import { schemaProblems } from "./schema.ts";

let all: readonly Configuration[];
beforeAll(async () => {
  all = await configurations();
});

const MODULES = "naming network directory database rendezvous iot secrets dns_tls observability device_bootstrap".split(
  " ",
);
const EXAMPLES = ["bootstrap", "minimal", "ha", "multi_region"];

test("there are these modules and examples", () => {
  const folders = all.map(({ folder }) => folder);
  expect(folders).toEqual(
    expect.arrayContaining([
      ...MODULES.map((name) => `modules/${name}`),
      ...EXAMPLES.map((name) => `examples/${name}`),
    ]),
  );
});

test("every resource has the arguments that the provider takes, and those that it needs", () => {
  const problems = all.flatMap(({ folder, declared }) =>
    declared.flatMap((each) =>
      schemaProblems(each).map((problem) => `${folder}: ${each.type}.${each.name}: ${problem}`),
    ),
  );
  expect(all.flatMap(({ declared }) => declared).length).toBeGreaterThan(80);
  expect(problems).toEqual([]);
});

test("whatever is referred to is there, and whatever is declared is referred to", () => {
  expect(all.flatMap((each) => referenceProblems(each, all).map((problem) => `${each.folder}: ${problem}`))).toEqual(
    [],
  );
});

test("modules are given what they take, and all that they need", () => {
  expect(all.flatMap((each) => callProblems(each, all).map((problem) => `${each.folder}: ${problem}`))).toEqual([]);
});

test("every variable has a type, a validation and a description, every output a description", () => {
  const problems = all.flatMap(({ folder, variables, outputs }) => [
    ...[...variables].flatMap(([name, variable]) =>
      ["type", "validation", "description"]
        .filter((key) => variable[key] === undefined)
        .map((key) => `${folder}: var.${name} has no ${key}`),
    ),
    ...[...outputs]
      .filter(([, output]) => output["description"] === undefined)
      .map(([name]) => `${folder}: output.${name} has no description`),
  ]);
  expect(problems).toEqual([]);
});

test("every module that has a provider says which", () => {
  for (const { folder, declared, rest } of all) {
    const uses = declared.some(({ type }) => type.startsWith("aws_"));
    if (uses)
      expect({ folder, says: JSON.stringify(rest) }).toMatchObject({ says: expect.stringContaining("hashicorp/aws") });
  }
});

test("the naming module and that of devices need no provider", () => {
  for (const name of ["naming", "device_bootstrap"]) {
    const module = all.find(({ folder }) => folder === `modules/${name}`);
    expect(module?.declared).toEqual([]);
    expect(JSON.stringify(module?.rest)).not.toContain("required_providers");
  }
});

describe("what is never to be there", () => {
  const resources = (type: string) =>
    all.flatMap(({ folder, declared }) =>
      declared.filter((each) => each.type === type).map((each) => ({ folder, ...each })),
    );

  test("a group that lets in the whole world, but at a listener", () => {
    const inline = ["aws_security_group", "aws_default_security_group"].flatMap(resources);
    expect(inline.length).toBeGreaterThan(3);
    for (const { body } of inline) expect([body["ingress"], body["egress"]]).toEqual([undefined, undefined]);
    const rules = resources("aws_vpc_security_group_ingress_rule");
    const byAddress = rules.filter(({ body }) => body["cidr_ipv4"] !== undefined || body["cidr_ipv6"] !== undefined);
    expect(byAddress.map(({ folder, name }) => `${folder} ${name}`).sort()).toEqual([
      "modules/directory listeners",
      "modules/rendezvous listeners",
    ]);
    for (const { body } of rules) expect(body["ip_protocol"]).toBe("tcp");
    expect(resources("aws_security_group_rule")).toEqual([]);
  });

  test("a secret in the state, in a plan or in user data", () => {
    const SECRET =
      /^(password|master_password|secret_string|secret_binary|private_key(_pem)?|token|auth_token|manage_master_user_password)$/;
    for (const { folder, declared, variables } of all) {
      for (const { type, name, body } of declared) {
        const given = Object.keys(body).filter((key) => SECRET.test(key));
        expect({ at: `${folder} ${type}.${name}`, given }).toMatchObject({ given: [] });
        expect(type).not.toMatch(
          /^(random_|tls_private_key|aws_iam_access_key|aws_key_pair|aws_secretsmanager_secret_policy)/,
        );
      }
      for (const name of variables.keys())
        expect({ folder, name }).not.toMatchObject({
          name: expect.stringMatching(/password$|private_key|_secret$|token$/),
        });
    }
    const ephemerals = all.flatMap(({ folder, declared }) =>
      declared.filter(({ kind }) => kind === "ephemeral").map(() => folder),
    );
    expect(ephemerals.sort()).toEqual(["modules/database", "modules/secrets"]);
    // Ephemeral values go into write-only arguments alone; terraform refuses all others.
    for (const { folder, declared } of all) {
      for (const { kind, body } of declared.filter((each) => each.kind === "resource")) {
        for (const [key, value] of Object.entries(body)) {
          if (textsOf(value).some((text) => text.includes("ephemeral.")))
            expect({ folder, kind, key }).toMatchObject({ key: expect.stringMatching(/_wo$/) });
        }
      }
    }
  });

  test("what is not encrypted, or reached from outside", () => {
    const wanted: Record<string, Record<string, unknown>> = {
      aws_db_instance: { storage_encrypted: true, publicly_accessible: false },
      aws_rds_cluster: { storage_encrypted: true },
      aws_rds_cluster_instance: { publicly_accessible: false },
      aws_efs_file_system: { encrypted: true },
      aws_ebs_volume: { encrypted: true },
      aws_ecr_repository: { image_tag_mutability: "IMMUTABLE" },
    };
    for (const [type, values] of Object.entries(wanted)) {
      const found = resources(type);
      expect(found.length, type).toBeGreaterThan(0);
      for (const { body } of found) expect(body).toMatchObject(values);
    }
    for (const { body } of resources("aws_launch_template")) {
      expect(list(body["metadata_options"])).toMatchObject([
        { http_tokens: "required", http_put_response_hop_limit: 1 },
      ]);
      for (const mapping of list(body["block_device_mappings"]))
        expect(list(object(mapping)["ebs"])).toMatchObject([{ encrypted: true }]);
      expect(body["key_name"]).toBeUndefined();
    }
    for (const type of ["aws_db_parameter_group", "aws_rds_cluster_parameter_group"]) {
      for (const { body } of resources(type))
        expect(list(body["parameter"])).toEqual([{ name: "rds.force_ssl", value: "1" }]);
    }
    for (const { body } of resources("aws_s3_bucket_public_access_block")) {
      expect(body).toMatchObject({
        block_public_acls: true,
        block_public_policy: true,
        ignore_public_acls: true,
        restrict_public_buckets: true,
      });
    }
  });

  test("an image by a tag, which somebody may have moved", () => {
    for (const { folder, variables } of all) {
      for (const [name, variable] of variables) {
        if (/image$|^images$/.test(name))
          expect({ folder, name, says: JSON.stringify(variable["validation"]) }).toMatchObject({
            says: expect.stringContaining("@sha256:"),
          });
      }
    }
  });
});

test("every example says how to apply it, its first session, what it costs and how to end it", () => {
  for (const name of EXAMPLES) {
    const text = readFileSync(join(TERRAFORM, "examples", name, "README.md"), "utf8");
    expect(text).toContain("terraform init");
    expect(text).toContain("terraform apply");
    expect(text).toContain("terraform destroy");
    expect(text).toMatch(/by the list of [A-Z][a-z]+ 20[0-9]{2}/);
    const prices = [...text.matchAll(/^\| (?!\*\*)[^|]+ \| ([0-9.]+) \|$/gm)].map(([, price]) => Number(price));
    const [, sum] = /^\| \*\*in all\*\* \| \*\*([0-9.]+)\*\* \|$/m.exec(text) ?? [];
    expect(sum).toBe(prices.reduce((total, price) => total + price, 0).toFixed(2));
    if (name !== "bootstrap") expect(text).toMatch(/^sshnp (-[sv] )?@client @device /m);
  }
});
