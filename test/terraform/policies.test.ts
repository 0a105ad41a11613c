/** Policies as they are rendered, asked what they allow. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { TERRAFORM } from "./configuration.ts";
import { type Asked, isAllowed, type Policy } from "./policy.ts";
import { rendered } from "./template.ts";

const ACCOUNT = "111122223333";
const HERE = { partition: "aws", region: "eu-west-1", account: ACCOUNT } as const;
const DIRECTORY = "85e22955a32cfe7233986812be297632";
const THING = "9aeaad43c652d2663f92b175230ac49f";
const OTHER_THING = "0123456789abcdef0123456789abcdef";
const SECRET = (name: string): string => `arn:aws:secretsmanager:eu-west-1:${ACCOUNT}:secret:np/${name}-AbCdEf`;
const iot = (what: string): string => `arn:aws:iot:eu-west-1:${ACCOUNT}:${what}`;

type Row = readonly [
  action: string,
  resource: string,
  verdict: "allowed" | "denied",
  context?: Asked["context"],
  principal?: string,
];

function policy(file: string, values: Readonly<Record<string, string>>): Policy {
  return JSON.parse(rendered(file, values)) as Policy;
}

function check(asked: Policy, rows: readonly Row[], always: Asked["context"] = {}): void {
  for (const [action, resource, verdict, context = {}, principal] of rows) {
    const question = {
      action,
      resource,
      context: { ...always, ...context },
      ...(principal === undefined ? {} : { principal }),
    };
    expect({
      action,
      resource,
      context,
      principal,
      verdict: isAllowed(asked, question) ? "allowed" : "denied",
    }).toEqual({
      ...{ action, resource, context, principal, verdict },
    });
  }
}

describe("a thing", () => {
  const values = { ...HERE, directory: DIRECTORY };
  const attached = { "iot:Connection.Thing.ThingName": THING, "iot:Connection.Thing.IsAttached": "true" };

  test("connects under its own name, hears its own topic, writes to its directories, and no more", () => {
    check(
      policy("modules/iot/policies/device.json.tftpl", values),
      [
        ["iot:Connect", iot(`client/${THING}`), "allowed"],
        ["iot:Connect", iot(`client/${OTHER_THING}`), "denied"],
        ["iot:Connect", iot("client/sshnpdirectory01234567"), "denied"],
        ["iot:Connect", iot("client/*"), "denied"],
        ["iot:Subscribe", iot(`topicfilter/sshnp/d/${THING}`), "allowed"],
        ["iot:Subscribe", iot(`topicfilter/sshnp/d/${OTHER_THING}`), "denied"],
        ["iot:Subscribe", iot("topicfilter/sshnp/d/+"), "denied"],
        ["iot:Subscribe", iot("topicfilter/sshnp/#"), "denied"],
        ["iot:Subscribe", iot("topicfilter/#"), "denied"],
        ["iot:Subscribe", iot(`topicfilter/sshnp/d/${THING}/#`), "denied"],
        ["iot:Subscribe", iot(`topicfilter/sshnp/u/${DIRECTORY}`), "denied"],
        ["iot:Subscribe", iot(`topicfilter/sshnp/r/${DIRECTORY}/+`), "denied"],
        ["iot:Subscribe", iot("topicfilter/$aws/events/presence/+/+"), "denied"],
        ["iot:Receive", iot(`topic/sshnp/d/${THING}`), "allowed"],
        ["iot:Receive", iot(`topic/sshnp/d/${OTHER_THING}`), "denied"],
        ["iot:Receive", iot(`topic/sshnp/u/${DIRECTORY}`), "denied"],
        ["iot:Publish", iot(`topic/sshnp/u/${DIRECTORY}`), "allowed"],
        ["iot:Publish", iot(`topic/sshnp/r/${DIRECTORY}/00112233445566778899aabbccddeeff`), "allowed"],
        ["iot:Publish", iot("topic/sshnp/u/00112233445566778899aabbccddeeff"), "denied"],
        [
          "iot:Publish",
          iot("topic/sshnp/r/00112233445566778899aabbccddeeff/00112233445566778899aabbccddeeff"),
          "denied",
        ],
        ["iot:Publish", iot(`topic/sshnp/d/${THING}`), "denied"],
        ["iot:Publish", iot(`topic/sshnp/d/${OTHER_THING}`), "denied"],
        ["iot:Publish", iot(`topic/$aws/things/${THING}/shadow/update`), "denied"],
        ["iot:Publish", iot("topic/$aws/provisioning-templates/np-devices/provision/json"), "denied"],
        ["iot:RetainPublish", iot(`topic/sshnp/u/${DIRECTORY}`), "denied"],
        ["iot:GetThingShadow", iot(`thing/${THING}`), "denied"],
        ["iot:AttachPolicy", iot("policy/np-directory"), "denied"],
        ["iot:Connect", `arn:aws:iot:eu-west-1:444455556666:client/${THING}`, "denied"],
      ],
      attached,
    );
  });

  test("does nothing at all with a certificate that no thing has", () => {
    const device = policy("modules/iot/policies/device.json.tftpl", values);
    check(device, [
      ["iot:Connect", iot(`client/${THING}`), "denied", { "iot:Connection.Thing.IsAttached": "false" }],
      ["iot:Connect", iot("client/"), "denied"],
      ["iot:Subscribe", iot("topicfilter/sshnp/d/"), "denied"],
    ]);
  });
});

test("directories hear what is for them and write to devices, and no more", () => {
  check(policy("modules/iot/policies/directory.json.tftpl", { ...HERE, directory: DIRECTORY }), [
    ["iot:Connect", iot("client/sshnpdirectory01234567"), "allowed"],
    ["iot:Connect", iot(`client/${THING}`), "denied"],
    ["iot:Subscribe", iot(`topicfilter/sshnp/u/${DIRECTORY}`), "allowed"],
    ["iot:Subscribe", iot(`topicfilter/sshnp/r/${DIRECTORY}/00112233445566778899aabbccddeeff`), "allowed"],
    ["iot:Subscribe", iot("topicfilter/sshnp/u/+"), "denied"],
    ["iot:Subscribe", iot(`topicfilter/sshnp/d/${THING}`), "denied"],
    ["iot:Subscribe", iot("topicfilter/#"), "denied"],
    ["iot:Receive", iot(`topic/sshnp/u/${DIRECTORY}`), "allowed"],
    ["iot:Receive", iot(`topic/sshnp/d/${THING}`), "denied"],
    ["iot:Publish", iot(`topic/sshnp/d/${THING}`), "allowed"],
    ["iot:Publish", iot(`topic/sshnp/u/${DIRECTORY}`), "denied"],
    ["iot:RetainPublish", iot(`topic/sshnp/d/${THING}`), "denied"],
    ["iot:UpdateThingShadow", iot(`thing/${THING}`), "denied"],
  ]);
});

test("what makes things of certificates touches no other policy and no other group", () => {
  check(policy("modules/iot/policies/provisioning-role.json.tftpl", { ...HERE, name: "np" }), [
    ["iot:CreateThing", iot(`thing/${THING}`), "allowed"],
    ["iot:AttachThingPrincipal", iot(`cert/${"ab".repeat(32)}`), "allowed"],
    ["iot:AttachPolicy", iot("policy/np-device"), "allowed"],
    ["iot:AddThingToThingGroup", iot("thinggroup/np-devices"), "allowed"],
    ["iot:AttachPolicy", iot("policy/np-directory"), "denied"],
    ["iot:AddThingToThingGroup", iot("thinggroup/others"), "denied"],
    ["iot:CreatePolicy", iot("policy/np-device"), "denied"],
    ["iot:CreatePolicyVersion", iot("policy/np-device"), "denied"],
    ["iot:DeleteThing", iot(`thing/${THING}`), "denied"],
    ["iot:CreateKeysAndCertificate", "*", "denied"],
    ["iot:UpdateCACertificate", iot(`cacert/${"ab".repeat(32)}`), "denied"],
  ]);
});

test("what writes down who is connected writes there and nowhere else", () => {
  const group = `arn:aws:logs:eu-west-1:${ACCOUNT}:log-group:/np/presence`;
  check(policy("modules/iot/policies/presence-role.json.tftpl", { log_group_arn: group }), [
    ["logs:PutLogEvents", `${group}:log-stream:one`, "allowed"],
    ["logs:PutLogEvents", `arn:aws:logs:eu-west-1:${ACCOUNT}:log-group:/np/services:log-stream:one`, "denied"],
    ["logs:DeleteLogGroup", `${group}:log-stream:one`, "denied"],
  ]);
});

const REPOSITORY = `arn:aws:ecr:eu-west-1:${ACCOUNT}:repository/np/directory`;
const KEY = `arn:aws:kms:eu-west-1:${ACCOUNT}:key/11111111-2222-3333-4444-555555555555`;
const logs = (group: string): string =>
  `arn:aws:logs:eu-west-1:${ACCOUNT}:log-group:${group}:log-stream:directory-1/directory/abc`;

test("what starts directories reads their secrets and their image, and no others", () => {
  check(
    policy("modules/directory/policies/execution.json.tftpl", {
      ...HERE,
      log_group: "/np/services",
      secret_arns: JSON.stringify([SECRET("database"), SECRET("broker-key")]),
      image_repository_arn: REPOSITORY,
      kms_key_arn: KEY,
    }),
    [
      ["secretsmanager:GetSecretValue", SECRET("database"), "allowed"],
      ["secretsmanager:GetSecretValue", SECRET("broker-key"), "allowed"],
      ["secretsmanager:GetSecretValue", SECRET("rendezvous-one"), "denied"],
      ["secretsmanager:GetSecretValue", SECRET("something-else"), "denied"],
      ["secretsmanager:PutSecretValue", SECRET("database"), "denied"],
      ["ecr:GetAuthorizationToken", "*", "allowed"],
      ["ecr:BatchGetImage", REPOSITORY, "allowed"],
      ["ecr:BatchGetImage", `${REPOSITORY}-other`, "denied"],
      ["ecr:PutImage", REPOSITORY, "denied"],
      ["logs:PutLogEvents", logs("/np/services"), "allowed"],
      ["logs:PutLogEvents", logs("/np/other"), "denied"],
      ["kms:Decrypt", KEY, "allowed", { "kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com" }],
      ["kms:Decrypt", KEY, "denied", { "kms:ViaService": "rds.eu-west-1.amazonaws.com" }],
      ["kms:Decrypt", KEY, "denied"],
      ["iam:PassRole", `arn:aws:iam::${ACCOUNT}:role/np-directory`, "denied"],
    ],
  );
});

const FILES = `arn:aws:elasticfilesystem:eu-west-1:${ACCOUNT}:file-system/fs-1`;
const POINTS = ["fsap-keys", "fsap-data-1"].map(
  (name) => `arn:aws:elasticfilesystem:eu-west-1:${ACCOUNT}:access-point/${name}`,
);

test("a directory itself has its files, shells and lines of metrics, and no secret", () => {
  const point = { "elasticfilesystem:AccessPointArn": POINTS[0] ?? "" };
  check(
    policy("modules/directory/policies/task.json.tftpl", {
      ...HERE,
      log_group: "/np/services",
      metrics_log_group: "/np/metrics",
      file_system_arn: FILES,
      access_point_arns: JSON.stringify(POINTS),
    }),
    [
      ["elasticfilesystem:ClientMount", FILES, "allowed", point],
      ["elasticfilesystem:ClientMount", FILES, "denied"],
      ["elasticfilesystem:ClientRootAccess", FILES, "denied", point],
      ["elasticfilesystem:ClientMount", FILES.replace("fs-1", "fs-2"), "denied", point],
      ["logs:PutLogEvents", logs("/np/metrics"), "allowed"],
      ["logs:DeleteLogGroup", `arn:aws:logs:eu-west-1:${ACCOUNT}:log-group:/np/services:*`, "denied"],
      ["secretsmanager:GetSecretValue", SECRET("database"), "denied"],
      ["secretsmanager:GetSecretValue", SECRET("rendezvous-one"), "denied"],
      ["ecs:ExecuteCommand", `arn:aws:ecs:eu-west-1:${ACCOUNT}:task/np/1`, "denied"],
      ["iot:Publish", iot(`topic/sshnp/d/${THING}`), "denied"],
      ["sts:AssumeRole", `arn:aws:iam::${ACCOUNT}:role/np-directory-execution`, "denied"],
    ],
  );
});

test("the keys are mounted by directories, over TLS, by their access points, and by nobody else", () => {
  const task = `arn:aws:iam::${ACCOUNT}:role/np-directory`;
  const right = {
    "elasticfilesystem:AccessedViaMountTarget": "true",
    "elasticfilesystem:AccessPointArn": POINTS[0] ?? "",
    "aws:SecureTransport": "true",
  };
  check(
    policy("modules/directory/policies/files.json.tftpl", {
      file_system_arn: FILES,
      task_role_arn: task,
      access_point_arns: JSON.stringify(POINTS),
    }),
    [
      ["elasticfilesystem:ClientMount", FILES, "allowed", right, task],
      ["elasticfilesystem:ClientWrite", FILES, "allowed", right, task],
      ["elasticfilesystem:ClientRootAccess", FILES, "denied", right, task],
      ["elasticfilesystem:ClientMount", FILES, "denied", { ...right, "aws:SecureTransport": "false" }, task],
      ["elasticfilesystem:ClientMount", FILES, "denied", { ...right, "elasticfilesystem:AccessPointArn": "" }, task],
      [
        "elasticfilesystem:ClientMount",
        FILES,
        "denied",
        { ...right, "elasticfilesystem:AccessedViaMountTarget": "false" },
        task,
      ],
      ["elasticfilesystem:ClientMount", FILES, "denied", right, `arn:aws:iam::${ACCOUNT}:role/somebody`],
      ["elasticfilesystem:ClientMount", FILES, "denied", right, `arn:aws:iam::${ACCOUNT}:role/np-one-eu-west-1`],
    ],
  );
});

test("the machine of a rendezvous has its own secret, address and volume, and none of another's", () => {
  const arn = (what: string): string => `arn:aws:ec2:eu-west-1:${ACCOUNT}:${what}`;
  const group = (name: string): string =>
    `arn:aws:autoscaling:eu-west-1:${ACCOUNT}:autoScalingGroup:11111111-2222:autoScalingGroupName/${name}`;
  const own = { "aws:ResourceTag/sshnp-rendezvous": "np-one" };
  check(
    policy("modules/rendezvous/policies/machine.json.tftpl", {
      ...HERE,
      ...{ group: "np-one", secret_arn: SECRET("rendezvous-one"), address: "eipalloc-1", volume: "vol-1" },
      ...{
        log_group: "/np/services",
        metrics_log_group: "/np/metrics",
        image_repository_arn: REPOSITORY,
        kms_key_arn: KEY,
      },
    }),
    [
      ["secretsmanager:GetSecretValue", SECRET("rendezvous-one"), "allowed"],
      ["secretsmanager:GetSecretValue", SECRET("rendezvous-two"), "denied"],
      ["secretsmanager:GetSecretValue", SECRET("database"), "denied"],
      ["secretsmanager:GetSecretValue", SECRET("broker-key"), "denied"],
      ["secretsmanager:ListSecrets", "*", "denied"],
      ["ec2:AssociateAddress", arn("elastic-ip/eipalloc-1"), "allowed"],
      ["ec2:AssociateAddress", arn("elastic-ip/eipalloc-2"), "denied"],
      ["ec2:AttachVolume", arn("volume/vol-1"), "allowed"],
      ["ec2:AttachVolume", arn("volume/vol-2"), "denied"],
      ["ec2:AssociateAddress", arn("instance/i-1"), "allowed", own],
      ["ec2:AttachVolume", arn("instance/i-1"), "denied", { "aws:ResourceTag/sshnp-rendezvous": "np-two" }],
      ["ec2:AttachVolume", arn("instance/i-1"), "denied"],
      ["ec2:TerminateInstances", arn("instance/i-1"), "denied", own],
      ["ec2:RunInstances", arn("instance/i-1"), "denied", own],
      ["autoscaling:CompleteLifecycleAction", group("np-one"), "allowed"],
      ["autoscaling:CompleteLifecycleAction", group("np-two"), "denied"],
      ["autoscaling:SetDesiredCapacity", group("np-one"), "denied"],
      ["ecr:BatchGetImage", REPOSITORY, "allowed"],
      ["ecr:PutImage", REPOSITORY, "denied"],
      ["ssm:GetParameter", `arn:aws:ssm:eu-west-1:${ACCOUNT}:parameter/x`, "denied"],
      ["ssm:SendCommand", arn("instance/i-1"), "denied"],
      ["elasticfilesystem:ClientMount", FILES, "denied"],
      ["iam:PassRole", `arn:aws:iam::${ACCOUNT}:role/x`, "denied"],
    ],
  );
});

test("roles are taken by the service that they are for, for this account", () => {
  for (const [file, service, context] of [
    ["modules/iot/policies/assume.json.tftpl", "iot.amazonaws.com", { "aws:SourceAccount": ACCOUNT }],
    ["modules/rendezvous/policies/assume.json.tftpl", "ec2.amazonaws.com", { "aws:SourceAccount": ACCOUNT }],
    [
      "modules/directory/policies/assume.json.tftpl",
      "ecs-tasks.amazonaws.com",
      { "aws:SourceAccount": ACCOUNT, "aws:SourceArn": `arn:aws:ecs:eu-west-1:${ACCOUNT}:cluster/np` },
    ],
  ] as const) {
    const values = file.includes("/directory/")
      ? HERE
      : file.includes("/iot/")
        ? { account: ACCOUNT }
        : { account: ACCOUNT };
    check(policy(file, values), [
      ["sts:AssumeRole", "", "allowed", context, service],
      ["sts:AssumeRole", "", "denied", context, "lambda.amazonaws.com"],
      ["sts:AssumeRole", "", "denied", context, `arn:aws:iam::${ACCOUNT}:root`],
      ["sts:AssumeRole", "", "denied", { ...context, "aws:SourceAccount": "444455556666" }, service],
    ]);
  }
});

test("states are read over TLS alone, whatever else allows it", () => {
  const bucket = "arn:aws:s3:::np-state";
  const denies = policy("examples/bootstrap/policies/state.json.tftpl", { bucket_arn: bucket });
  const allows = { Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: `${bucket}/*` } as const;
  check({ ...denies, Statement: [allows, ...denies.Statement] }, [
    ["s3:GetObject", `${bucket}/minimal.tfstate`, "allowed", { "aws:SecureTransport": "true" }],
    ["s3:GetObject", `${bucket}/minimal.tfstate`, "denied", { "aws:SecureTransport": "false" }],
  ]);
});

test("no policy has a wildcard where a name can stand", () => {
  const files = ["modules", "examples"].flatMap((kind) =>
    readdirSync(join(TERRAFORM, kind), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".json.tftpl") && name.includes("policies/"))
      .map((name) => join(kind, name)),
  );
  expect(files.length).toBeGreaterThan(9);
  for (const file of files) {
    const text = readFileSync(join(TERRAFORM, file), "utf8");
    for (const [statement] of text.matchAll(/\{\s*"(?:Sid|Effect)"[\s\S]*?\n {4}\}/g)) {
      const denies = statement.includes('"Effect": "Deny"');
      if (!denies)
        expect({ file, statement }).not.toMatchObject({
          statement: expect.stringMatching(/"[a-z0-9]+:(\*|[A-Za-z]*\*)"/),
        });
      // What AWS gives no resource to; each says so.
      if (/"Resource": "\*"/.test(statement)) expect(statement).toMatch(/"Sid": "\w+Ha(s|ve)NoResources"/);
    }
  }
});

test("what evaluates policies knows a denial, a wildcard and a variable", () => {
  const of = (...statements: Policy["Statement"]): Policy => ({ Version: "2012-10-17", Statement: statements });
  const allow = { Effect: "Allow", Action: "s3:Get*", Resource: "arn:aws:s3:::a/${x}" } as const;
  const asked = { action: "s3:GetObject", resource: "arn:aws:s3:::a/b", context: { x: "b" } };
  expect(isAllowed(of(allow), asked)).toBe(true);
  expect(isAllowed(of(allow), { ...asked, action: "s3:PutObject" })).toBe(false);
  expect(isAllowed(of(allow), { ...asked, context: {} })).toBe(false);
  expect(isAllowed(of(allow), { ...asked, context: { x: "*" } })).toBe(false);
  expect(isAllowed(of(allow, { ...allow, Effect: "Deny" }), asked)).toBe(false);
  expect(() => isAllowed(of({ ...allow, Condition: { NumericLessThan: { x: "1" } } }), asked)).toThrow("not known");
});
