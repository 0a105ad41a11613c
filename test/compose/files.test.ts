import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ENGINE } from "../support/containers.ts";
import { runProcess } from "../support/processes.ts";

const COMPOSE = join(import.meta.dirname, "../../compose");
const SETTINGS = {
  ...{ TO: "@device", TO_CRAM: "", DEVICE: "mygateway", FROM: "@client", PUBLIC: "np.example.org" },
  SSHNP_DIRECTORY: "http://np.example.org:7800#SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
};
const ONLINE = "grep -q ^online: /tmp/sshnpd.status";

/** By file, the services that go on and how each is known to be well. */
const CHECKS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "docker-compose.yml": { sshnpd: ONLINE },
  "gateway.yml": { sshnpd: ONLINE },
  "directory.yml": { directory: "healthz 7800 7801" },
  "demo.yml": {
    directory: "healthz 7800",
    rendezvous: "healthz 7801",
    mygateway: ONLINE,
    scanner: ONLINE,
    console: "test -e /tmp/ready",
  },
  "fleet.yml": {
    database: "pg_isready --quiet --host=127.0.0.1 --username=sshnp",
    broker: "sh /mosquitto/config/check",
    "directory-one": "healthz 7800",
    "directory-two": "healthz 7800",
    "rendezvous-north": "healthz 7801",
    "rendezvous-south": "healthz 7801",
    prometheus: "promtool query instant http://127.0.0.1:9090 1",
    ...{ mygateway: ONLINE, scanner: ONLINE, kiosk: ONLINE },
    console: "test -e /tmp/ready",
  },
  "fleet.debian.yml": {}, // the health checks are those of fleet.yml
};

test("each file is known here", () => {
  expect(readdirSync(COMPOSE).filter((name) => name.endsWith(".yml"))).toEqual(Object.keys(CHECKS).toSorted());
});

// As it stands in the repository, which the other tests change before an engine sees it.
test.skipIf(ENGINE === undefined).each(Object.entries(CHECKS))(
  "compose reads all of %s, health checks included",
  async (file, checks) => {
    const [program = "", ...words] = ENGINE?.compose ?? [];
    const options = { env: { HOME: "/nonexistent", ...SETTINGS }, cwd: COMPOSE };
    const { code, stdout, stderr } = await runProcess(program, [...words, "-f", file, "config"], options);
    expect(code, stderr).toBe(0);
    expect(checksIn(stdout)).toEqual(checks);
  },
);

/** The health checks of the services that compose prints. */
function checksIn(yaml: string): Record<string, string> {
  const [, services = ""] = /^services:\n((?: .*\n?)+)/m.exec(yaml) ?? [];
  const found: Record<string, string> = {};
  for (const [, name = "", own = ""] of services.matchAll(/^ {2}(\S+):\n((?: {4}.*\n?)+)/gm)) {
    const [, check] =
      /^ {4}healthcheck:\n(?: {6}[^t].*\n)* {6}test:\n {6,8}- CMD\n((?: {6,8}- .*\n)+)/m.exec(own) ?? [];
    if (check === undefined) continue;
    found[name] = [...check.matchAll(/- '?(.*?)'?\n/g)].map(([, word]) => word).join(" ");
  }
  return found;
}
