import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ComposeFolder, ENGINE, type Project } from "../support/containers.ts";

const MINUTES = 60_000;

describe.skipIf(ENGINE === undefined)("demo.yml", { timeout: 5 * MINUTES }, () => {
  let folder: ComposeFolder;
  let demo: Project;
  beforeAll(async () => {
    folder = await ComposeFolder.make();
    demo = folder.project(["demo.yml"]);
    await demo.build();
    await demo.must("up", "-d");
    await demo.untilHealthy("console");
  }, 20 * MINUTES);
  afterAll(async () => {
    await folder?.[Symbol.asyncDispose]();
  }, 15 * MINUTES); // images are removed when nobody builds

  test("from the console a command runs on the device", async () => {
    expect(await demo.mustExec("console", "sshnp", "@client", "@device", "mygateway", "hostname")).toBe("mygateway");
    expect(await demo.mustExec("console", "sshnp", "@client", "@depot", "scanner", "hostname")).toBe("scanner");
  });

  test.each(["mygateway.device.np", "scanner.depot.np"])("scp to %s brings every byte", async (host) => {
    const sum = (output: string): string => output.split(" ")[0] ?? "";
    await demo.mustExec("console", "dd", "if=/dev/urandom", "of=/tmp/firmware", "bs=64K", "count=48");
    await demo.mustExec("console", "scp", "/tmp/firmware", `${host}:`);
    const sent = sum(await demo.mustExec("console", "sha256sum", "/tmp/firmware"));
    expect(sent).toMatch(/^[0-9a-f]{64}$/);
    expect(sum(await demo.mustExec("console", "ssh", host, "sha256sum", "firmware"))).toBe(sent);
  });

  test("devices and console share no network, and cannot reach each other but through sshnp", async () => {
    const networksOf = async (service: string): Promise<string[]> =>
      Object.keys(JSON.parse(await demo.inspect(service, "{{json .NetworkSettings.Networks}}")));
    const all = await Promise.all(["console", "mygateway", "scanner"].map(networksOf));
    expect(all.flat()).toHaveLength(3);
    expect(new Set(all.flat()).size).toBe(3);
    expect(await networksOf("directory")).toEqual(expect.arrayContaining(all.flat()));
    for (const device of ["mygateway", "scanner"]) {
      expect((await demo.exec("console", "getent", "hosts", device)).code).not.toBe(0);
      expect((await demo.exec(device, "getent", "hosts", "console")).code).not.toBe(0);
    }
    expect((await demo.exec("console", "getent", "hosts", "directory")).code).toBe(0);
  });

  test("every service is healthy, an ordinary user, read-only, and has no capability", async () => {
    for (const service of ["directory", "rendezvous", "mygateway", "scanner", "console"]) {
      expect(await demo.isHealthy(service), service).toBe(true);
      const status = await demo.mustExec(service, "cat", "/proc/1/status");
      expect(status, service).toMatch(/^Uid:\t1000\t1000\t1000\t1000$/m);
      for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd"])
        expect(status).toMatch(new RegExp(`^${set}:\t0+$`, "m"));
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      expect((await demo.exec(service, "touch", "/opt/sshnp/x")).stderr).toContain("Read-only file system");
    }
  });

  test(
    "a second up changes nothing, and a stopped rendezvous is what its health check tells",
    async () => {
      const before = await demo.inspect("mygateway", "{{.Id}} {{.State.StartedAt}}");
      await demo.must("up", "-d");
      expect(await demo.inspect("mygateway", "{{.Id}} {{.State.StartedAt}}")).toBe(before);
      expect(await demo.inspect("hand-over", "{{.State.ExitCode}}")).toBe("0");
      expect(await demo.mustExec("console", "sshnp", "@client", "@device", "mygateway", "hostname")).toBe("mygateway");
      await demo.must("stop", "directory");
      await demo.untilHealthy("mygateway", { healthy: false });
      await demo.must("start", "directory");
      await demo.untilHealthy("mygateway");
    },
    5 * MINUTES,
  );

  test(
    "down and up again goes on with the same keys and pins",
    async () => {
      const before = await demo.mustExec("console", "sshnp", "trust", "ls");
      await demo.must("down");
      await demo.must("up", "-d");
      await demo.untilHealthy("console");
      expect(await demo.mustExec("console", "sshnp", "@client", "@device", "mygateway", "hostname")).toBe("mygateway");
      expect(await demo.mustExec("console", "sshnp", "trust", "ls")).toBe(before);
    },
    8 * MINUTES,
  );
});
