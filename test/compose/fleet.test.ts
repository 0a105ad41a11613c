import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ComposeFolder, ENGINE, type Project } from "../support/containers.ts";
import { freePort } from "../support/free-port.ts";

const MINUTES = 60_000;
const FILES = ["fleet.yml", "fleet.debian.yml"];
const DEVICES = [
  ["@device", "mygateway"],
  ["@depot", "scanner"],
  ["@shop", "kiosk"],
] as const;
const AT_BROKER = 2;
/** Whom Prometheus asks. */
const TARGETS = [
  ...["directory-one.watch:9464", "directory-two.watch:9464"],
  ...["rendezvous-north.watch:9465", "rendezvous-south.watch:9465"],
];

/** All services for real; what stands between them and the test is one engine. */
describe.skipIf(ENGINE === undefined)("fleet.yml", { timeout: 5 * MINUTES }, () => {
  let folder: ComposeFolder;
  let fleet: Project;
  let prometheus: string;

  beforeAll(async () => {
    folder = await ComposeFolder.make();
    const port = await freePort();
    prometheus = `http://127.0.0.1:${port}/api/v1`;
    fleet = folder.project(FILES, { PROMETHEUS_PORT: String(port) });
    await fleet.build();
    await fleet.up();
    await fleet.untilHealthy("console");
  }, 20 * MINUTES);
  afterAll(async () => {
    await folder?.[Symbol.asyncDispose]();
  }, 15 * MINUTES); // images are removed when nobody builds

  /** Commands on all devices at once. */
  const connect = async (): Promise<void> => {
    const words = ["sshnp", "--wait=60s", "@client"];
    const said = await Promise.all(
      DEVICES.map(([name, device]) => fleet.mustExec("console", ...words, name, device, "hostname")),
    );
    expect(said).toEqual(DEVICES.map(([, device]) => device));
  };
  const query = async <Data>(path: string): Promise<Data> => {
    const answer = await fetch(`${prometheus}/${path}`);
    const { data }: { data: Data } = JSON.parse(await answer.text());
    return data;
  };
  /** How many devices have a link to a directory, as Prometheus has it from both. */
  const linked = async (): Promise<number> => {
    const { result } = await query<{ result: readonly { value: [number, string] }[] }>(
      "query?query=sum(sshnp_directory_devices_online)",
    );
    return Number(result[0]?.value[1]);
  };
  const untilLinked = (count: number) => expect.poll(linked, { timeout: MINUTES, interval: 1000 }).toBe(count);

  test("all devices are reached, and those at the broker have no link to a directory", async () => {
    await connect();
    await untilLinked(DEVICES.length - AT_BROKER);
  });

  test("Prometheus has all that it is told of", async () => {
    type Targets = { activeTargets: readonly { health: string; labels: { instance: string } }[] };
    const up = async (): Promise<string[]> => {
      const { activeTargets } = await query<Targets>("targets");
      return activeTargets.filter(({ health }) => health === "up").map(({ labels }) => labels.instance);
    };
    await expect.poll(async () => (await up()).toSorted(), { timeout: MINUTES }).toEqual(TARGETS.toSorted());
  });

  test("a directory that is killed is missed by nobody, and serves when it is back", async () => {
    for (const [killed, other] of [
      ["directory-one", "directory-two"],
      ["directory-two", "directory-one"],
    ] as const) {
      await fleet.must("kill", killed);
      await connect();
      await fleet.must("start", killed);
      await fleet.untilHealthy(killed);
      await fleet.untilHealthy(other);
    }
  });

  test("a rendezvous that is killed is missed by nobody: a session elsewhere goes on, and so does its own", async () => {
    await using session = fleet.startExec("console", "sshnp", "@client", "@device", "mygateway", "echo here; cat");
    await session.line(/^here$/);
    const first = (await legsAt("rendezvous-north")) > 0 ? "rendezvous-north" : "rendezvous-south";
    const other = first === "rendezvous-north" ? "rendezvous-south" : "rendezvous-north";
    expect(await legsAt(other)).toBe(0);
    for (const killed of [other, first]) {
      await fleet.must("kill", killed);
      await connect();
      session.stdin.write(`without ${killed}\n`);
      await session.line(new RegExp(`^without ${killed}$`));
      await fleet.must("start", killed);
      await fleet.untilHealthy(killed);
    }
    session.stdin.end();
    expect(await session.exit()).toMatchObject({ code: 0 });
  });
  /** Connections of sessions at a rendezvous. */
  const legsAt = async (rendezvous: string): Promise<number> => {
    const port = (7801).toString(16).toUpperCase();
    const text = await fleet.mustExec(rendezvous, "bash", "-c", "cat /proc/net/tcp /proc/net/tcp6");
    return text.match(new RegExp(`^ *\\d+: [0-9A-F]+:${port} [0-9A-F:]+ 01 `, "gm"))?.length ?? 0;
  };

  test("while the broker is away its devices are at the directories, and they go back to it", async () => {
    await fleet.must("stop", "--timeout", "5", "broker");
    await connect();
    await untilLinked(DEVICES.length);
    await fleet.must("start", "broker");
    await untilLinked(DEVICES.length - AT_BROKER);
    await connect();
    await fleet.must("restart", "--timeout", "5", "broker");
    await connect();
    await untilLinked(DEVICES.length - AT_BROKER);
  });

  test("whatever process is killed, its container comes back by itself", async () => {
    const programs = { "directory-one": "node", "rendezvous-north": "node", broker: "mosquitto", mygateway: "node" };
    for (const [service, program] of Object.entries(programs)) {
      const started = (): Promise<string> => fleet.inspect(service, "{{.State.StartedAt}}");
      const before = await started();
      const of = `grep -l '^Name:.${program}$' /proc/[0-9]*/status | cut -d/ -f3`;
      // Its status is not asked for: the container may have ended before the engine tells it.
      await fleet.exec(service, "bash", "-c", `kill -9 $(${of})`);
      await expect.poll(started, { timeout: MINUTES }).not.toBe(before);
      await fleet.untilHealthy(service);
    }
    await connect();
  });

  test("down -v leaves nothing", async () => {
    await fleet.must("down", "-v", "--timeout", "5");
    for (const list of [
      ["ps", "--all", "--format", "{{.Names}}"],
      ["network", "ls", "--format", "{{.Name}}"],
      ["volume", "ls", "--format", "{{.Name}}"],
    ]) {
      const names = (await fleet.container(...list)).split("\n");
      expect(names.filter((name) => name.includes(fleet.name))).toEqual([]);
    }
  });
});
