import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../../support/ordinary-user.ts";
import { authorize, Harness } from "./harness.ts";

describe.each(["root", "an ordinary user"])("the built-in server as %s", { skip: !CAN_MAKE_USERS }, (who) => {
  let user: OrdinaryUser;
  let server: Harness;

  beforeAll(async () => {
    user = await ordinaryUser(["tty"]);
    server = await Harness.start(who === "root" ? {} : { user });
    await authorize(user, await server.publicKey);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await user.remove();
  });

  const run = (...command: string[]) => server.run([`${user.name}@builtin`, ...command]);

  test.each([0, 1, 42, 255])("status %i comes back", async (status) => {
    expect(await run(`exit ${status}`)).toMatchObject({ code: status, stdout: "", stderr: "" });
  });

  test("a command runs as the account, in its home, with its groups, output and errors apart", async () => {
    const { stdout, stderr, code } = await run('id -un; id -Gn; pwd; echo "$HOME $USER $SHELL"; echo oops >&2');
    expect({ code, stderr }).toEqual({ code: 0, stderr: "oops\n" });
    expect(stdout).toBe(`${user.name}\n${user.name} tty\n${user.home}\n${user.home} ${user.name} /bin/sh\n`);
  });

  test("a terminal", async () => {
    const { stdout, stderr } = await server.run([
      "-tt",
      `${user.name}@builtin`,
      "tty; stty -a; ls -l $(tty); echo $TERM $SSH_TTY; exit 42",
    ]);
    expect(`${stdout}${stderr}`).toMatch(/dumb \/dev\/pts\//);
  });
});
