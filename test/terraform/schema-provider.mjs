/*
 * A provider for terraform that has the AWS provider's schema and makes nothing, so that `terraform validate` looks at every
 * expression, and plan and apply evaluate all of them. Terraform starts it as it starts any provider (plugin protocol 6, gRPC on a
 * socket). It finds nothing wrong with any value; what AWS would choose it makes up, of the right form (valueOf).
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createSecureServer } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { encoded, NIL, objectOf, ofAnyType, packed, UNKNOWN } from "./message-pack.mjs";
import { bytes, fieldsOf, number, text } from "./protocol-buffers.mjs";

const schema = JSON.parse(readFileSync(new URL("./aws-schema.json", import.meta.url), "utf8"));

/* tfplugin6: Schema, its Block, Attributes and NestedBlocks. */
const NESTING_LIST = 2;
const each = (record, make) => Object.entries(record).map(([name, about]) => make(name, about));
const blockOf = ({ attributes = {}, blocks = {}, read = {} }) => [
  ...each(attributes, (name, { type, required }) =>
    bytes(2, ...attributeOf(name, type, required === true, name.endsWith("_wo"))),
  ),
  ...each(read, (name, type) => bytes(2, text(1, name), text(2, typeOf(type)), number(6, 1))),
  ...each(blocks, (name, block) =>
    bytes(
      3,
      ...[text(1, name), bytes(2, ...blockOf(block)), number(3, NESTING_LIST)],
      ...[number(4, block.required === true ? 1 : 0), number(5, block.many === true ? 0 : 1)],
    ),
  ),
];
const schemaOf = (type) => bytes(2, ...blockOf(type));

/** What may be left out may be set by the provider too. One that is written only is never read. */
function attributeOf(name, type, isRequired, isWriteOnly) {
  const may = isRequired ? [number(4, 1)] : [number(5, 1), number(6, isWriteOnly ? 0 : 1)];
  return [text(1, name), text(2, typeOf(type)), ...may, number(11, isWriteOnly ? 1 : 0)];
}

function typeOf(type) {
  const [, kind, element] = /^(list|map)\((\w+)\)$/.exec(type) ?? [];
  return JSON.stringify(kind === undefined ? (type === "any" ? "dynamic" : type) : [kind, element]);
}

const optional = (type) => ({ type });
const PROVIDER = {
  attributes: { region: optional("string"), profile: optional("string") },
  blocks: { default_tags: { attributes: { tags: optional("map(string)") } } },
};
const byName = (field, types) => each(types, (name, type) => bytes(field, text(1, name), bytes(2, schemaOf(type))));
const schemas = () =>
  Buffer.concat([
    bytes(1, schemaOf(PROVIDER)),
    ...[...byName(2, schema.resource), ...byName(3, schema.data), ...byName(8, schema.ephemeral)],
  ]);

/** An object in which what nobody has said is what `chosen` makes of its name and type. */
function filled(value, type, chosen) {
  if (value.length === 0 || value.equals(NIL)) return value;
  const said = objectOf(value);
  for (const [name, { type: kind, required }] of Object.entries(type.attributes)) {
    if (name.endsWith("_wo")) said.set(name, NIL);
    else if (required !== true && isOpen(said.get(name))) said.set(name, chosen(name, kind));
  }
  for (const [name, kind] of Object.entries(type.read)) if (isOpen(said.get(name))) said.set(name, chosen(name, kind));
  return encoded(said);
}

const isOpen = (value) =>
  value === undefined || value.equals(NIL) || (value[0] === 0xd4 && value[1] === 0) || value[0] === 0xc7;

const ACCOUNT = "111122223333";
const REGION = "eu-west-1";
/** What AWS would have chosen. */
const VALIDATION = {
  domain_name: "np.example.org",
  resource_record_name: "_0123456789abcdef.np.example.org.",
  resource_record_type: "CNAME",
  resource_record_value: "_fedcba9876543210.acm-validations.aws.",
};
const CHOSEN = {
  aws_acm_certificate: {
    domain_validation_options: ofAnyType(
      ["list", ["object", Object.fromEntries(Object.keys(VALIDATION).map((key) => [key, "string"]))]],
      Buffer.concat([
        Buffer.of(0xdc, 0, 1),
        encoded(new Map(Object.entries(VALIDATION).map(([key, said]) => [key, packed(said)]))),
      ]),
    ),
  },
  aws_availability_zones: { names: ["a", "b", "c"].map((zone) => `${REGION}${zone}`) },
  aws_caller_identity: { account_id: ACCOUNT },
  aws_partition: { partition: "aws" },
  aws_region: { region: REGION },
  aws_iot_endpoint: { endpoint_address: `abcdefghij-ats.iot.${REGION}.amazonaws.com` },
  aws_iot_certificate: { certificate_pem: "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n" },
  aws_eip: { public_ip: "203.0.113.7", allocation_id: "eipalloc-0123456789abcdef0" },
  aws_lb: { dns_name: `np-directory-0123456789abcdef.elb.${REGION}.amazonaws.com`, zone_id: "Z2IFOLAFXWLO4F" },
  aws_vpc: { id: "vpc-0123456789abcdef0" },
  aws_subnet: { id: "subnet-0123456789abcdef0" },
  aws_security_group: { id: "sg-0123456789abcdef0" },
  aws_ebs_volume: { id: "vol-0123456789abcdef0" },
};
let made = 0;
function valueOf(type, name, kind, of) {
  const known = CHOSEN[type]?.[name];
  if (known !== undefined) return Buffer.isBuffer(known) ? known : packed(known);
  if (kind === "bool") return packed(false);
  if (kind === "number") return packed(1);
  if (kind.startsWith("list(")) return packed([]);
  if (kind !== "string") return NIL;
  const own = `${of ?? ++made}`;
  const [service, ...rest] = type
    .replace(/^aws_(secretsmanager|cloudwatch_log|efs)?_?/, "$1_")
    .split("_")
    .filter(Boolean);
  if (name === "arn" || (name === "id" && type === "aws_acm_certificate")) {
    const names = {
      secretsmanager: "secretsmanager",
      efs: "elasticfilesystem",
      cloudwatch: "logs",
      lb: "elasticloadbalancing",
    };
    return packed(`arn:aws:${names[service] ?? service}:${REGION}:${ACCOUNT}:${rest.join("-")}/${own}`);
  }
  return packed(`${type}-${name}-${own}`);
}

const value = (field, inMessagePack) => bytes(field, bytes(1, inMessagePack));
const contentOf = (field) => fieldsOf(field ?? Buffer.alloc(0)).get(1) ?? NIL;
const nameOf = (fields) => fields.get(1).toString();
const nothing = () => Buffer.alloc(0);
const CALLS = {
  GetProviderSchema: schemas,
  ConfigureProvider: nothing,
  StopProvider: nothing,
  CloseEphemeralResource: nothing,
  PlanResourceChange(fields) {
    const type = schema.resource[nameOf(fields)];
    const [prior, proposed] = [contentOf(fields.get(2)), contentOf(fields.get(3))];
    const planned = prior.equals(NIL)
      ? filled(proposed, type, () => UNKNOWN)
      : filled(proposed, type, (name) => objectOf(prior).get(name) ?? NIL);
    return Buffer.concat([value(1, planned), number(5, 1)]);
  },
  ApplyResourceChange(fields) {
    const name = nameOf(fields);
    const planned = contentOf(fields.get(3));
    const own = ++made;
    const given = planned.equals(NIL) ? new Map() : objectOf(planned);
    const called = given.get("name") ?? NIL;
    const of = called[0] >= 0xa0 && called[0] < 0xc0 ? `${called.subarray(1)}-${own}` : own;
    const chosen = filled(planned, schema.resource[name], (attribute, kind) => valueOf(name, attribute, kind, of));
    return Buffer.concat([value(1, chosen), number(4, 1)]);
  },
  ReadResource: (fields) => value(1, contentOf(fields.get(2))),
  ReadDataSource(fields) {
    const name = nameOf(fields);
    return value(
      1,
      filled(contentOf(fields.get(2)), schema.data[name], (attribute, kind) => valueOf(name, attribute, kind)),
    );
  },
  OpenEphemeralResource(fields) {
    const name = nameOf(fields);
    return value(
      3,
      filled(contentOf(fields.get(2)), schema.ephemeral[name], (attribute, kind) =>
        kind === "string" ? packed(`EPHEMERAL-${++made}`) : valueOf(name, attribute, kind),
      ),
    );
  },
  UpgradeResourceState: (fields) =>
    bytes(1, bytes(2, fieldsOf(fields.get(3) ?? Buffer.alloc(0)).get(1) ?? Buffer.alloc(0))),
};

/** gRPC over HTTP/2: each message behind a byte and its length. */
function answer(stream, message) {
  stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([head, message]));
}

const UNIMPLEMENTED = "12";
const CALL = /^\/tfplugin6\.Provider\/(\w+)$/;

// Terraform trusts the certificate that it is told; whoever starts this has made it.
const [key, pem] = process.argv.slice(2).map((file) => readFileSync(file, "utf8"));
const server = createSecureServer({
  key,
  cert: pem,
  requestCert: true,
  ca: process.env.PLUGIN_CLIENT_CERT,
  ALPNProtocols: ["h2"],
});

server.on("stream", (stream, { ":path": path = "" }) => {
  stream.on("error", () => {});
  if (path === "/plugin.GRPCController/Shutdown") {
    answer(stream, Buffer.alloc(0));
    stream.on("close", () => process.exit(0));
    return;
  }
  const [, call = ""] = CALL.exec(path) ?? [];
  const answered = call.startsWith("Validate") ? nothing : CALLS[call];
  if (answered === undefined) {
    stream.respond(
      { ":status": 200, "content-type": "application/grpc+proto", "grpc-status": UNIMPLEMENTED },
      { endStream: true },
    );
    return;
  }
  const parts = [];
  stream.on("data", (part) => parts.push(part));
  stream.on("end", () => answer(stream, answered(fieldsOf(Buffer.concat(parts).subarray(5)))));
});
const place = mkdtempSync(join(tmpdir(), "schema-provider-"));
process.on("exit", () => rmSync(place, { recursive: true, force: true }));
process.on("SIGTERM", () => process.exit(0));
const socket = join(place, "socket");
server.listen(socket, () => {
  const body = pem.replaceAll(/-----[^-]+-----|\s/g, "").replace(/=+$/, "");
  process.stdout.write(`1|6|unix|${socket}|grpc|${body}\n`);
});
process.stdin.resume().on("end", () => {});
