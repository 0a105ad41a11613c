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

/** Those that go on, but for the console, from which all is asked. */
const SERVICES = [
  ...["database", "broker", "directory-one", "directory-two", "rendezvous-north", "rendezvous-south", "prometheus"],
  ...DEVICES.map(([, device]) => device),
];
/** A connection there, in /proc/net/tcp. */
const AT_7801 = /^ *\d+: [0-9A-F]+:1E79 [0-9A-F:]+ 01 /m;

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

  /** What commands on all devices at once print. */
  const hostnames = async (): Promise<string[]> => {
    const words = ["sshnp", "--wait=60s", "@client"];
    return await Promise.all(
      DEVICES.map(([name, device]) => fleet.mustExec("console", ...words, name, device, "hostname")),
    );
  };
  const ALL = DEVICES.map(([, device]) => device);
  const connect = async (): Promise<void> => expect(await hostnames()).toEqual(ALL);
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
    const { groups } = await query<{ groups: readonly { rules: readonly { health: string }[] }[] }>("rules");
    const rules = groups.flatMap((group) => group.rules);
    expect(rules.length).toBeGreaterThan(0);
    expect(rules.map(({ health }) => health)).not.toContain("err");
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

  test("a rendezvous that is killed takes its own sessions along and no others; all meet at the other, and at it when it is back", async () => {
    await using session = fleet.startExec("console", "sshnp", "@client", "@device", "mygateway", "echo here; cat");
    await session.line(/^here$/);
    // Which one that is, once nobody measures how far they are.
    await expect.poll(async () => (await carriers()).length, { timeout: MINUTES }).toBe(1);
    const [first = ""] = await carriers();
    const other = first === "rendezvous-north" ? "rendezvous-south" : "rendezvous-north";
    await fleet.must("kill", other);
    await connect();
    session.stdin.write("elsewhere\n");
    await session.line(/^elsewhere$/);
    await fleet.must("start", other);
    await fleet.untilHealthy(other);
    await fleet.must("kill", first);
    expect((await session.exit()).code).toBe(255);
    await connect();
    await fleet.must("start", first);
    await fleet.untilHealthy(first);
  });
  /** The rendezvous that have a connection. */
  const carriers = async (): Promise<string[]> => {
    const found = [];
    for (const rendezvous of ["rendezvous-north", "rendezvous-south"]) {
      const sockets = await fleet.mustExec(rendezvous, "bash", "-c", "cat /proc/net/tcp /proc/net/tcp6");
      if (AT_7801.test(sockets)) found.push(rendezvous);
    }
    return found;
  };

  test("while the broker is away its devices are at the directories, and they go back to it", async () => {
    await fleet.must("stop", "--timeout", "5", "broker");
    await connect();
    await untilLinked(DEVICES.length);
    await fleet.must("start", "broker");
    await untilLinked(DEVICES.length - AT_BROKER);
    await fleet.must("restart", "--timeout", "5", "broker");
    await connect();
  });

  // The engine's own kill counts as somebody's wish, after which a container stays as it is.
  test.skipIf(process.getuid?.() !== 0)(
    "after a power cut all comes back by itself, with nobody saying up",
    async () => {
      const processes = async (): Promise<string[]> =>
        await Promise.all(SERVICES.map((service) => fleet.inspect(service, "{{.State.Pid}}")));
      const before = await processes();
      expect(before).not.toContain("0"); // which would be whoever runs this
      for (const pid of before) process.kill(Number(pid), "SIGKILL");
      const areBack = async (): Promise<boolean> =>
        (await processes()).every((pid, i) => pid !== "0" && pid !== before[i]);
      await expect.poll(areBack, { timeout: 2 * MINUTES, interval: 1000 }).toBe(true);
      for (const service of SERVICES) await fleet.untilHealthy(service);
      // Those at the broker may not have asked yet where the directory is, and the engine's DNS may be away for a while.
      await expect.poll(() => hostnames().catch(String), { timeout: 2 * MINUTES }).toEqual(ALL);
      await untilLinked(DEVICES.length - AT_BROKER);
    },
  );

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
