import { randomBytes } from "node:crypto";
import { chmod, chown, mkdir, rename, rm, symlink } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ExecOptions } from "ssh2";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../../support/ordinary-user.ts";
import { runProcess } from "../../support/processes.ts";
import { type AgentHandler, AgentServer, withLength } from "../../support/agent-server.ts";
import { type Assertion, Authenticator } from "../../support/authenticator.ts";
import { RealAgent } from "../../support/ssh-agent.ts";
import { authorize, Harness, loggedIn, makeKey } from "./harness.ts";

describe("who the server lets in", { skip: !CAN_MAKE_USERS }, () => {
  let user: OrdinaryUser;
  let server: Harness;
  let key: string;

  beforeAll(async () => {
    user = await ordinaryUser();
    server = await Harness.start();
    key = await server.publicKey;
  });
  beforeEach(() => authorize(user, key));
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await user.remove();
  });

  const login = (options: string[] = [], command = "echo in", name = user.name) =>
    server.run([`${name}@builtin`, command], options);
  const usermod = (...words: string[]) => runProcess("usermod", [...words, user.name], { env: { HOME: "/" } });
  const refused = { code: 255, stdout: "" };
  const admitted = { code: 0, stdout: "in\n" };

  test.each(["ed25519", "ecdsa", "rsa"])("a key of type %s", async (type) => {
    const path = join(server.folder, `id_${type}_2`);
    await makeKey(path, type);
    const { stdout } = await runProcess("cat", [`${path}.pub`], { env: { HOME: "/" } });
    await authorize(user, `# a comment\n\nnot a key\n${stdout.trim()} somebody@somewhere`);
    const ssh = await server.run(["-i", path, `${user.name}@builtin`, "echo in"]);
    expect(ssh).toMatchObject(admitted);
  });

  describe("a key on a FIDO2 token", () => {
    const seed = randomBytes(32);
    const onlyBy = async (answer: AgentHandler): ReturnType<typeof login> => {
      await using agent = await AgentServer.serve(server.folder, answer);
      return await login([`IdentityAgent ${agent.socket}`, "IdentitiesOnly no", "IdentityFile none"]);
    };
    /** A token of that key that says something else. */
    const wrongly = (how: Assertion, type?: string): Authenticator => {
      const token = new Authenticator(seed);
      const sign = token.sign.bind(token);
      token.sign = (data) => {
        const signature = sign(data, how);
        return type === undefined
          ? signature
          : Buffer.concat([withLength(type), signature.subarray(4 + signature.readUInt32BE(0))]);
      };
      return token;
    };
    beforeEach(() => authorize(user, new Authenticator(seed).line));

    test("of type ed25519-sk lets in when it is touched", async () => {
      const token = new Authenticator(seed);
      expect(await onlyBy(token.answer)).toMatchObject(admitted);
      expect(token.signatures).toBe(1);
      token.onTouch = () => false;
      expect(await onlyBy(token.answer)).toMatchObject(refused);
    });

    test.each<[string, Authenticator]>([
      ["that nobody has touched", wrongly({ flags: 0 })],
      ["for another application", wrongly({ application: "ssh:other" })],
      ["that is another key's", wrongly({ seed: randomBytes(32) })],
      ["that says it is of a key without a token", wrongly({}, "ssh-ed25519")],
    ])("refuses a signature %s", async (_what, token) => {
      expect(await onlyBy(token.answer)).toMatchObject(refused);
      expect(token.signatures).toBeGreaterThan(0);
    });

    test("that no file admits is not asked to sign", async () => {
      const token = new Authenticator(randomBytes(32));
      expect(await onlyBy(token.answer)).toMatchObject(refused);
      expect(token.signatures).toBe(0);
    });
  });

  test("an RSA key that signs by SHA-1 is refused, and nothing but public keys is offered", async () => {
    const path = join(server.folder, "id_rsa_sha1");
    await makeKey(path, "rsa");
    const { stdout } = await runProcess("cat", [`${path}.pub`], { env: { HOME: "/" } });
    await authorize(user, stdout.trim());
    const options = ["IdentitiesOnly no", "PubkeyAcceptedAlgorithms ssh-rsa"];
    expect(await server.run(["-i", path, `${user.name}@builtin`, "echo in"], options)).toMatchObject(refused);
    const { stderr } = await login(["PubkeyAuthentication no"]);
    expect(stderr).toContain("Permission denied (publickey).");
  });

  test("a key that is not there, an account that is not there, words that are no login", async () => {
    await authorize(user, "# nobody");
    expect(await login()).toMatchObject(refused);
    await authorize(user, key);
    for (const name of ["nobody-of-that-name", "root;id", "..", "-l"]) {
      expect(await server.run(["-l", name, "builtin", "echo in"]), name).toMatchObject({ stdout: "" });
    }
  });

  test.each([
    ["the file may be written by the group", () => chmod(join(user.home, ".ssh/authorized_keys"), 0o620)],
    ["the folder may be written by others", () => chmod(join(user.home, ".ssh"), 0o702)],
    ["the home may be written by the group", () => chmod(user.home, 0o770)],
    ["the file belongs to somebody else", () => chown(join(user.home, ".ssh/authorized_keys"), 1, 1)],
    [
      "the file is a folder",
      async () => {
        await rm(join(user.home, ".ssh/authorized_keys"));
        await mkdir(join(user.home, ".ssh/authorized_keys"));
      },
    ],
    [
      "the file is a pipe",
      async () => {
        await rm(join(user.home, ".ssh/authorized_keys"));
        await runProcess("mkfifo", [join(user.home, ".ssh/authorized_keys")], { env: { HOME: "/" } });
      },
    ],
    [
      "the file is a link to a place where everybody writes",
      async () => {
        const file = join(user.home, ".ssh/authorized_keys");
        await rename(file, `/tmp/${user.name}`);
        await symlink(`/tmp/${user.name}`, file);
      },
    ],
  ])("nobody when %s (StrictModes)", async (_what, change) => {
    try {
      await change();
      expect(await login()).toMatchObject(refused);
    } finally {
      await chmod(user.home, 0o755);
      await rm(join(user.home, ".ssh"), { recursive: true });
      await rm(`/tmp/${user.name}`, { force: true });
    }
  });

  test("nobody into a locked or expired account, nor one without a shell", async () => {
    for (const [lock, unlock] of [
      [["-L"], ["-U"]],
      [
        ["-e", "1970-01-02"],
        ["-e", ""],
      ],
      [
        ["-s", "/usr/sbin/nologin"],
        ["-s", "/bin/sh"],
      ],
      [
        ["-s", "/bin/false"],
        ["-s", "/bin/sh"],
      ],
      [
        ["-s", "/nonexistent"],
        ["-s", "/bin/sh"],
      ],
    ] as const) {
      if (lock[0] === "-L") await usermod("-p", "$6$x$y");
      await usermod(...lock);
      expect(await login(), lock.join(" ")).toMatchObject(refused);
      await usermod(...unlock);
      expect(await login(), unlock.join(" ")).toMatchObject(admitted);
    }
    expect(server.process.stderr).toMatch(/it is locked; to admit keys and no password: usermod -p '\*'/);
  });

  test("what the options of a key restrict is restricted, and what cannot be kept refuses the key", async () => {
    await authorize(user, `command="echo forced; echo \\"$SSH_ORIGINAL_COMMAND\\"" ${key}`);
    expect(await login()).toMatchObject({ code: 0, stdout: "forced\necho in\n" });
    expect((await server.copy("scp", [`${user.name}@builtin:/etc/passwd`, server.folder])).code).not.toBe(0);
    await authorize(user, `command="internal-sftp" ${key}`);
    expect(await server.copy("sftp", ["-b", "-", `${user.name}@builtin`], "pwd\n")).toMatchObject({ code: 0 });
    for (const option of ["no-pty", "restrict"]) {
      await authorize(user, `${option} ${key}`);
      expect(await login([], "tty")).toMatchObject({ code: 1 });
      expect((await server.run(["-tt", `${user.name}@builtin`, "tty; exit 5"])).stderr).toContain(
        "PTY allocation request failed",
      );
    }
    await authorize(user, `restrict,pty ${key}`);
    expect((await server.run(["-tt", `${user.name}@builtin`, "tty; exit 5"])).code).toBe(5);
    await authorize(user, `expiry-time="29990101" ${key}`);
    expect(await login()).toMatchObject(admitted);
    for (const option of [
      'expiry-time="20200101"',
      'expiry-time="tomorrow"',
      'from="127.0.0.1"',
      "cert-authority",
      "verify-required",
      "no-such-option",
      'command="unclosed',
    ]) {
      await authorize(user, `${option} ${key}`);
      expect(await login(), option).toMatchObject(refused);
    }
  });

  test("the login of the session's request and no other", async () => {
    const other = await ordinaryUser();
    try {
      await using bound = await Harness.start({ login: other.name });
      for (const somebody of [user, other]) await authorize(somebody, await bound.publicKey);
      expect(await bound.run([`${other.name}@builtin`, "id -un"])).toMatchObject({
        code: 0,
        stdout: `${other.name}\n`,
      });
      expect(await bound.run([`${user.name}@builtin`, "id -un"])).toMatchObject(refused);
    } finally {
      await other.remove();
    }
  });

  test("a daemon that is not root lets its own user in alone", async () => {
    const other = await ordinaryUser();
    try {
      await using own = await Harness.start({ user: other });
      for (const somebody of [user, other]) await authorize(somebody, await own.publicKey);
      expect(await own.run([`${other.name}@builtin`, "id -un"])).toMatchObject({ code: 0, stdout: `${other.name}\n` });
      expect(await own.run([`${user.name}@builtin`, "id -un"])).toMatchObject(refused);
    } finally {
      await other.remove();
    }
  });

  test("local forwarding to wherever the device reaches, less what the options of the key forbid", async () => {
    const { createServer } = await import("node:http");
    const web = createServer((_request, response) => response.end("hello from behind"));
    await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
    const { port } = web.address() as { port: number };
    const at = `${user.name}@builtin`;
    const ask = async (where: string) => {
      const ssh = server.start(["-W", where, at]);
      ssh.stdin.write("GET / HTTP/1.0\r\n\r\n");
      return await ssh.exit();
    };
    try {
      const answered = { stdout: expect.stringContaining("hello from behind") as string };
      expect(await ask(`127.0.0.1:${port}`)).toMatchObject(answered);
      expect(await ask(`localhost:${port}`)).toMatchObject(answered);
      for (const [options, isPermitted] of [
        ["no-port-forwarding", false],
        ["restrict", false],
        ['permitopen="127.0.0.1:1"', false],
        [`permitopen="127.0.0.1:1",permitopen="127.0.0.1:${port}"`, true],
        [`restrict,permitopen="127.0.0.1:${port}"`, false],
        [`restrict,port-forwarding,permitopen="127.0.0.1:${port}"`, true],
      ] as const) {
        await authorize(user, `${options} ${key}`);
        const expected = isPermitted ? answered : refused;
        expect(await ask(`127.0.0.1:${port}`), options).toMatchObject(expected);
      }
    } finally {
      web.close();
    }
  });

  test("ssh -A with an agent gets none, and is told so when it asks to be; nor does X11", async () => {
    await using agent = await RealAgent.start(server.folder);
    const asks = ["ForwardAgent yes", `IdentityAgent ${agent.socket}`, "LogLevel DEBUG"];
    const { code, stdout, stderr } = await login(asks, 'echo "[$SSH_AUTH_SOCK]"');
    expect({ code, stdout }).toEqual({ code: 0, stdout: "[]\n" });
    expect(stderr).toContain("Requesting authentication agent forwarding.");

    const client = await loggedIn(server, user.name, { agent: agent.socket });
    const refusal = (options: ExecOptions) =>
      new Promise((resolve) => client.exec("true", options, (error) => resolve(error?.message)));
    expect(await refusal({ agentForward: true } as ExecOptions)).toBe("Unable to request agent forwarding");
    expect(await refusal({ x11: true })).toBe("Unable to request X11");
    expect(await refusal({})).toBeUndefined();
    client.end();
  });

  test("garbage ends its own connection and nothing else", { timeout: 60_000 }, async () => {
    const session = server.start([`${user.name}@builtin`, "cat"]);
    session.stdin.write("before\n");
    await session.line(/^before$/);
    const garbage = [
      "\n",
      "GET / HTTP/1.1\r\n\r\n",
      "SSH-1.5-old\r\n",
      `SSH-2.0-${"x".repeat(100_000)}\r\n`,
      Buffer.concat([Buffer.from("SSH-2.0-x\r\n"), randomBytes(50_000)]),
      Buffer.concat([Buffer.from("SSH-2.0-x\r\n"), Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0])]),
      Buffer.concat([Buffer.from("SSH-2.0-x\r\n"), Buffer.from([0, 0, 0, 12, 10, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]),
    ];
    for (const bytes of garbage) {
      const socket = connect(server.socket);
      socket.on("error", () => {});
      socket.end(bytes);
      await text(socket).catch(() => "");
    }
    // And in the middle of what OpenSSH says: each connection has one byte changed at a place of its own.
    const { createServer } = await import("node:net");
    for (let at = 0; at < 4_000; at += 170) {
      const path = join(server.folder, `tap-${at}`);
      const tap = createServer((near) => {
        const far = connect(server.socket);
        let seen = 0;
        near.on("data", (bytes: Buffer) => {
          if (at >= seen && at < seen + bytes.length) bytes[at - seen] = (bytes[at - seen] ?? 0) ^ 0x55;
          seen += bytes.length;
          far.write(bytes);
        });
        far.pipe(near);
        for (const socket of [near, far])
          socket.on("error", () => {}).on("close", () => (near.destroy(), far.destroy()));
      }).listen(path);
      const ssh = server.start(
        [`${user.name}@builtin`, "true"],
        [`ProxyCommand socat - UNIX-CONNECT:${path}`, "ConnectTimeout 10"],
      );
      ssh.stdin.end();
      await ssh.exit();
      tap.close();
    }
    session.stdin.end("after\n");
    expect(await session.exit()).toMatchObject({ code: 0, stdout: "before\nafter\n" });
    await expect.poll(() => server.process.stdout.trimEnd().split("\n").at(-1)).toBe("attended, 0 left");
  });

  test.each([
    ["takes packets of no size", "takes packets that are too small", { packetSize: 0 }],
    ["sends more than its window", "sends more than its window", { bytes: 64 * 1024 * 1024 }],
  ] as const)("a client that has logged in and %s is broken off", async (_what, reason, hostile) => {
    const client = await loggedIn(server, user.name);
    const closed = new Promise<void>((resolve) => client.once("close", resolve));
    if ("packetSize" in hostile) {
      // As ssh2's client opens a session, with a maximum packet size of its own.
      const { _protocol: protocol } = client as unknown as { _protocol: Protocol };
      const open = protocol.session.bind(protocol);
      protocol.session = (channel, window) => open(channel, window, hostile.packetSize);
      client.exec("echo in", () => {});
    } else {
      client.exec("sleep 1000", (_error, channel) => {
        const { outgoing } = channel as unknown as { outgoing: { window: number } };
        for (let sent = 0; sent < hostile.bytes; sent += 1_000_003) {
          outgoing.window = 2 * 1024 * 1024;
          channel.write(Buffer.alloc(1_000_003)); // no fraction of the window: at 0 the rest is dropped
        }
      });
    }
    await closed;
    await server.process.errorLine(new RegExp(`The SSH client ${reason}\\.`));
    expect(await login()).toMatchObject(admitted);
  });
});

interface Protocol {
  session(channel: number, window: number, packetSize: number): void;
}
