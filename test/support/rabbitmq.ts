import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import { type RunningProcess, startProcess } from "./processes.ts";
import { temporaryFolder } from "./temp-folder.ts";

/** The user of RabbitMQ's own, whom it asks nobody about. */
export const RABBITMQ_USER = "sshnp-directory";
export const RABBITMQ_PASSWORD = "only for tests";

export interface RabbitMqOptions {
  /** Files for TLS; without them it is on loopback in the clear. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  /** URL above /user, /vhost, /resource and /topic: whom it asks who may come in. */
  readonly asks?: string;
  /** Users who come in by their certificates alone, with what each may read, and as which clients they may. */
  readonly byCertificate?: readonly { readonly name: string; readonly reads: string; readonly clients: string }[];
}

/** A real RabbitMQ with its MQTT plugin, all its files in a folder of its own, and an epmd of its own that ends with it. */
export interface RabbitMq extends AsyncDisposable {
  readonly url: string;
  readonly process: RunningProcess;
}

export async function startRabbitMq({ tls, asks, byCertificate }: RabbitMqOptions): Promise<RabbitMq> {
  const folder = await temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  const [port, epmdPort, distributionPort] = [await freePort(), await freePort(), await freePort()];
  const lines = [
    "listeners.tcp = none",
    tls === undefined ? `mqtt.listeners.tcp.1 = 127.0.0.1:${port}` : "mqtt.listeners.tcp = none",
    "mqtt.allow_anonymous = false",
    `default_user = ${RABBITMQ_USER}`,
    `default_pass = ${RABBITMQ_PASSWORD}`,
    "auth_backends.1 = internal",
    ...(asks === undefined ? [] : ["auth_backends.2 = http", "auth_http.http_method = post"]),
    ...(asks === undefined
      ? []
      : ["user", "vhost", "resource", "topic"].map((what) => `auth_http.${what}_path = ${asks}/${what}`)),
    ...(tls === undefined
      ? []
      : [
          `mqtt.listeners.ssl.1 = 127.0.0.1:${port}`,
          `ssl_options.cacertfile = ${tls.ca}`,
          `ssl_options.certfile = ${tls.cert}`,
          `ssl_options.keyfile = ${tls.key}`,
          `ssl_options.verify = ${byCertificate === undefined ? "verify_none" : "verify_peer"}`,
        ]),
    ...(byCertificate === undefined
      ? []
      : [
          "mqtt.ssl_cert_login = true",
          "ssl_cert_login_from = common_name",
          `load_definitions = ${at("definitions.json")}`,
        ]),
  ];
  await mkdir(at("home"), { mode: 0o700 });
  await writeFile(at("rabbitmq.conf"), lines.map((line) => `${line}\n`).join(""));
  await writeFile(at("plugins"), "[rabbitmq_mqtt,rabbitmq_auth_backend_http].\n");
  await writeFile(at("empty"), "");
  await writeFile(at("definitions.json"), JSON.stringify(definitions(byCertificate ?? [])));
  const env = {
    HOME: at("home"),
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: `sshnp${randomBytes(6).toString("hex")}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: at("mnesia"),
    RABBITMQ_LOG_BASE: at("log"),
    RABBITMQ_LOGS: "-",
    RABBITMQ_CONFIG_FILE: at("rabbitmq.conf"),
    RABBITMQ_ADVANCED_CONFIG_FILE: at("advanced.config"),
    RABBITMQ_ENABLED_PLUGINS_FILE: at("plugins"),
    RABBITMQ_CONF_ENV_FILE: at("empty"),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1}",
  };
  const epmd = startProcess("epmd", ["-port", env.ERL_EPMD_PORT, "-address", "127.0.0.1"], { env });
  // Not Debian's own command, which becomes the user of the service that Debian would run.
  const process = startProcess(join(rabbitMqFolder(), "sbin/rabbitmq-server"), [], { env });
  const dispose = async (): Promise<void> => {
    await process.stop();
    await epmd.stop();
    await folder.remove();
  };
  try {
    await process.line(/Server startup complete/, { timeoutMs: 60_000 });
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    url: `${tls === undefined ? "mqtt" : "mqtts"}://127.0.0.1:${port}`,
    process,
    [Symbol.asyncDispose]: dispose,
  };
}

function rabbitMqFolder(): string {
  const base = "/usr/lib/rabbitmq/lib";
  return join(base, readdirSync(base).find((name) => name.startsWith("rabbitmq_server-")) ?? "");
}

/** What `rabbitmqctl import_definitions` reads: users without a password, and what each may do. */
function definitions(users: NonNullable<RabbitMqOptions["byCertificate"]>): object {
  const queuesOf = (clients: string): string => `mqtt-subscription-${clients}qos[01]`;
  return {
    vhosts: [{ name: "/" }],
    users: users.map(({ name }) => ({ name, password_hash: "", tags: "" })),
    permissions: users.map(({ name, clients }) => ({
      ...{ user: name, vhost: "/", configure: `^${queuesOf(clients)}$` },
      ...{ write: `^(${queuesOf(clients)}|amq[.]topic)$`, read: `^(${queuesOf(clients)}|amq[.]topic)$` },
    })),
    topic_permissions: users.map(({ name, reads }) => ({
      ...{ user: name, vhost: "/", exchange: "amq.topic" },
      ...{ write: name === RABBITMQ_USER ? "^sshnp[.]d[.]" : "^sshnp[.][ur][.]", read: reads },
    })),
  };
}
