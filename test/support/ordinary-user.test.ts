import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CAN_MAKE_USERS, ordinaryUser } from "./ordinary-user.ts";
import { runProcess, startProcess } from "./processes.ts";

test.skipIf(!CAN_MAKE_USERS)(
  "an ordinary user runs programs, and is gone afterwards with home and processes",
  async () => {
    const user = await ordinaryUser();
    const env = { HOME: user.home };
    const { stdout } = await runProcess("sh", ["-c", "id -un; id -u; id -G; touch file; cat /etc/shadow"], {
      env,
      user,
    });
    expect(stdout).toBe(`${user.name}\n${user.uid}\n${user.gid}\n`);
    expect(existsSync(join(user.home, "file"))).toBe(true);

    const left = startProcess("sh", ["-c", "echo ready; exec cat"], { env, user });
    await left.line(/^ready$/);
    await user.remove();
    expect((await left.exit()).signal).toBe("SIGKILL");
    expect(existsSync(user.home)).toBe(false);
    expect(readFileSync("/etc/passwd", "utf8")).not.toContain(user.name);
  },
);

test.skipIf(!CAN_MAKE_USERS)("an ordinary user has an installation that it can read", async () => {
  await using user = await ordinaryUser();
  const script = `import "commander"; import "level"; console.log("loaded")`;
  const exit = await runProcess(process.execPath, ["--input-type=module", "-e", script], {
    env: { HOME: user.home },
    cwd: user.installation,
    user,
  });
  expect(exit.stdout).toBe("loaded\n");
});
