#!/usr/bin/env node
/*
 * A provider for terraform that has the AWS provider's schema and makes nothing, so that `terraform validate` looks at every
 * expression, and plan and apply evaluate all of them. Terraform starts it as it starts any provider (plugin protocol 6, gRPC on a
 * socket). It finds nothing wrong with any value; what AWS would choose it makes up, of the right form (values()).
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createSecureServer } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const schema = JSON.parse(readFileSync(new URL("./aws-schema.json", import.meta.url), "utf8"));

/* Protocol Buffers, as far as they are needed: numbers, and whatever has a length. */
const LENGTH = 2;
const number = (field, value) => (value === 0 ? [] : [...varint(field << 3), ...varint(value)]);
const bytes = (field, value) => [...varint((field << 3) | LENGTH), ...varint(value.length), ...value];
const text = (field, value) => bytes(field, Buffer.from(value));
function varint(value) {
  const all = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...all, rest];
    all.push((rest % 128) | 128);
  }
}

/* tfplugin6: Schema, its Block, Attributes and NestedBlocks. */
const NESTING_LIST = 2;
const blockOf = ({ attributes = {}, blocks = {}, read = {} }) => [
  ...Object.entries(attributes).flatMap(([name, { type, required }]) =>
    bytes(2, attribute(name, type, required === true, name.endsWith("_wo"))),
  ),
  ...Object.entries(read).flatMap(([name, type]) =>
    bytes(2, [...text(1, name), ...text(2, typeOf(type)), ...number(6, 1)]),
  ),
  ...Object.entries(blocks).flatMap(([name, block]) =>
    bytes(3, [
      ...[...text(1, name), ...bytes(2, blockOf(block)), ...number(3, NESTING_LIST)],
      ...[...number(4, block.required === true ? 1 : 0), ...number(5, block.many === true ? 0 : 1)],
    ]),
  ),
];
const schemaOf = (type) => bytes(2, blockOf(type));

/** What may be left out may be set by the provider too. One that is written only is never read. */
function attribute(name, type, isRequired, isWriteOnly) {
  const may = isRequired ? number(4, 1) : [...number(5, 1), ...number(6, isWriteOnly ? 0 : 1)];
  return [...text(1, name), ...text(2, typeOf(type)), ...may, ...number(11, isWriteOnly ? 1 : 0)];
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
const byName = (field, types) =>
  Object.entries(types).flatMap(([name, type]) => bytes(field, [...text(1, name), ...bytes(2, schemaOf(type))]));
const SCHEMAS = Buffer.from([
  ...bytes(1, schemaOf(PROVIDER)),
  ...[...byName(2, schema.resource), ...byName(3, schema.data), ...byName(8, schema.ephemeral)],
]);

/** The fields of a message that have a length, by their numbers; the last of each. */
function fieldsOf(message) {
  const fields = new Map();
  let at = 0;
  const next = () => {
    for (let value = 0, unit = 1; ; unit *= 128) {
      const byte = message[at++];
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = next();
    if ((tag & 7) !== LENGTH) next();
    else {
      const length = next();
      fields.set(tag >> 3, message.subarray(at, (at += length)));
    }
  }
  return fields;
}

/* MessagePack, as far as terraform's values need to be looked at: an object is a map with all of its attributes. */
const [NIL, UNKNOWN] = [Buffer.of(0xc0), Buffer.of(0xd4, 0, 0)];
const packed = (value) =>
  typeof value === "boolean"
    ? Buffer.of(value ? 0xc3 : 0xc2)
    : typeof value === "number"
      ? Buffer.of(0xcd, value >> 8, value & 255)
      : Array.isArray(value)
        ? Buffer.concat([Buffer.of(0xdc, 0, value.length), ...value.map(packed)])
        : Buffer.concat([Buffer.of(0xdb, 0, 0, value.length >> 8, value.length & 255), Buffer.from(value)]);

/** A value of whatever type, behind its type. */
const ofAnyType = (type, value) => {
  const json = Buffer.from(JSON.stringify(type));
  return Buffer.concat([Buffer.of(0x92, 0xc4, json.length), json, value]);
};

/** Where the value ends that begins there. */
function endOf(value, at) {
  const first = value[at];
  const many = (count, from) => Array.from({ length: count }).reduce((end) => endOf(value, end), from);
  if (first < 0x80 || first >= 0xe0 || (first >= 0xc0 && first <= 0xc3)) return at + 1;
  if (first < 0x90) return many(2 * (first & 15), at + 1);
  if (first < 0xa0) return many(first & 15, at + 1);
  if (first < 0xc0) return at + 1 + (first & 31);
  const size = { 0xc4: 1, 0xc5: 2, 0xc6: 4, 0xd9: 1, 0xda: 2, 0xdb: 4, 0xc7: 1, 0xc8: 2 }[first];
  if (size !== undefined)
    return at + 1 + size + value.readUIntBE(at + 1, size) + (first === 0xc7 || first === 0xc8 ? 1 : 0);
  const fixed = {
    0xca: 4,
    0xcb: 8,
    0xcc: 1,
    0xcd: 2,
    0xce: 4,
    0xcf: 8,
    0xd0: 1,
    0xd1: 2,
    0xd2: 4,
    0xd3: 8,
    0xd4: 2,
    0xd5: 3,
    0xd6: 5,
    0xd7: 9,
    0xd8: 17,
  };
  if (fixed[first] !== undefined) return at + 1 + fixed[first];
  const [bytesOfCount, each] = { 0xdc: [2, 1], 0xdd: [4, 1], 0xde: [2, 2], 0xdf: [4, 2] }[first];
  return many(each * value.readUIntBE(at + 1, bytesOfCount), at + 1 + bytesOfCount);
}

function objectOf(value) {
  const all = new Map();
  let at = value[0] < 0xc0 ? 1 : value[0] === 0xde ? 3 : 5;
  while (at < value.length) {
    const keyEnd = endOf(value, at);
    const valueEnd = endOf(value, keyEnd);
    const key = value
      .subarray(at, keyEnd)
      .toString("latin1")
      .replace(/^[\xa0-\xbf]|^\xd9[\s\S]|^\xda[\s\S]{2}/, "");
    all.set(key, value.subarray(keyEnd, valueEnd));
    at = valueEnd;
  }
  return all;
}

function encoded(all) {
  const parts = [...all].map(([key, value]) => Buffer.concat([packed(key), value]));
  return Buffer.concat([Buffer.of(0xde, all.size >> 8, all.size & 255), ...parts]);
}

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
        encoded(new Map(Object.entries(VALIDATION).map(([key, each]) => [key, packed(each)]))),
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

const value = (field, packed) => bytes(field, bytes(1, packed));
const contentOf = (field) => fieldsOf(field ?? Buffer.alloc(0)).get(1) ?? NIL;
const nameOf = (fields) => fields.get(1).toString();
const CALLS = {
  GetProviderSchema: () => SCHEMAS,
  ConfigureProvider: () => [],
  StopProvider: () => [],
  CloseEphemeralResource: () => [],
  PlanResourceChange(fields) {
    const type = schema.resource[nameOf(fields)];
    const [prior, proposed] = [contentOf(fields.get(2)), contentOf(fields.get(3))];
    const planned = prior.equals(NIL)
      ? filled(proposed, type, () => UNKNOWN)
      : filled(proposed, type, (name) => objectOf(prior).get(name) ?? NIL);
    return [...value(1, planned), ...number(5, 1)];
  },
  ApplyResourceChange(fields) {
    const name = nameOf(fields);
    const planned = contentOf(fields.get(3));
    const own = ++made;
    const given = planned.equals(NIL) ? new Map() : objectOf(planned);
    const called = given.get("name") ?? NIL;
    const of = called[0] >= 0xa0 && called[0] < 0xc0 ? `${called.subarray(1)}-${own}` : own;
    return [
      ...value(
        1,
        filled(planned, schema.resource[name], (attribute, kind) => valueOf(name, attribute, kind, of)),
      ),
      ...number(4, 1),
    ];
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

const folder = mkdtempSync(join(tmpdir(), "schema-provider-"));
const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
execFileSync(
  "openssl",
  [
    ...[
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
      "-subj",
      "/CN=localhost",
    ],
    ...["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
  ],
  { stdio: "pipe" },
);
const pem = readFileSync(certificate, "utf8");
const server = createSecureServer({
  key: readFileSync(key),
  cert: pem,
  requestCert: true,
  ca: process.env.PLUGIN_CLIENT_CERT,
  ALPNProtocols: ["h2"],
});
rmSync(folder, { recursive: true });

server.on("stream", (stream, { ":path": path = "" }) => {
  stream.on("error", () => {});
  if (path === "/plugin.GRPCController/Shutdown") {
    answer(stream, Buffer.alloc(0));
    stream.on("close", () => process.exit(0));
    return;
  }
  const [, call = ""] = CALL.exec(path) ?? [];
  const made = call.startsWith("Validate") ? () => [] : CALLS[call];
  if (made === undefined) {
    stream.respond(
      { ":status": 200, "content-type": "application/grpc+proto", "grpc-status": UNIMPLEMENTED },
      { endStream: true },
    );
    return;
  }
  const parts = [];
  stream.on("data", (part) => parts.push(part));
  stream.on("end", () => answer(stream, Buffer.from(made(fieldsOf(Buffer.concat(parts).subarray(5))))));
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
