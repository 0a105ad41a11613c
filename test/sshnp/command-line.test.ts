import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SetupError } from "../../keys/errors.ts";
import { parseKeysFolder, parseSessionCommand, parseWait, type SessionCommand } from "../../sshnp/command-line.ts";
import { configurationOf } from "../../sshnp/ssh-options.ts";

const FINGERPRINT = "SHA256:9gO7nVnPcPZwDbAtAjPyPqYSKUGVDnmcjPZdRPYm6cA";
const ADDRESS = `http://np.example.org:7800#${FINGERPRINT}`;

describe("a session's command line", () => {
  test("names client, device, user and member", () => {
    const { destination, ssh } = understood("@client @device pi@mygateway");
    expect(destination).toMatchObject({
      client: "@client",
      device: { name: "@device", member: "mygateway" },
      login: "pi",
      waitSeconds: 0,
    });
    expect(ssh).toMatchObject({ before: [], user: "pi", after: [] });
  });

  test("needs neither client nor user", () => {
    const { destination, ssh } = understood("@device mygateway");
    expect(destination).toMatchObject({ client: undefined, device: { name: "@device" }, login: "" });
    expect(ssh.user).toBe("");
  });

  test("takes a fingerprint of the device's owner", () => {
    expect(understood(`@device=${FINGERPRINT} gw`).destination.owner).toBe(FINGERPRINT);
  });

  test("has options of its own ahead of the names, in any order, and letters in one word", () => {
    const command = understood(`-sv --wait=2h --directory ${ADDRESS} -x --keys=./keys @device gw`);
    expect(command).toMatchObject({
      print: true,
      destination: { verbose: true, pushKey: {}, waitSeconds: 7200, directory: ADDRESS, keys: "./keys" },
    });
  });

  test("gives everything after the device to ssh, word for word", () => {
    const after = ["-v", "-s", "-x", "-tt", "-L", "8080:localhost:80", "--", "uptime", "--wait", "-x", "a b", ""];
    const command = parse(["@device", "gw", ...after]);
    expect(command).toMatchObject({
      print: false,
      destination: { verbose: false, pushKey: undefined },
      ssh: { after },
    });
  });

  test("gives ssh its own options ahead of two names", () => {
    const { ssh, print } = understood("-4 -xL 8080:localhost:80 -oCompression=yes @client @device gw uptime");
    expect(ssh.before).toEqual(["-4", "-L8080:localhost:80", "-oCompression=yes"]);
    expect(ssh.after).toEqual(["uptime"]);
    expect(print).toBe(true);
  });

  test.each([
    ["@device pi@gw -l root", "pi"],
    ["-l root @client @device pi@gw", "root"],
    ["@device gw -l root", "root"],
    ["@device gw -oUser=root", "root"],
    ['@device gw -o "User root"', "root"],
    ["@device gw uptime -l root", ""],
    ["@device gw -- -l root", ""],
    ["@device gw -tl root", "root"],
    ["@device gw -i -l root", ""],
  ])("%s logs in as %j, as ssh would", (line, login) => {
    expect(understood(line).destination.login).toBe(login);
  });

  test.each([
    ["@device gw", "tunnel"],
    ["@device gw -f -N", "background"],
    ["@device gw -fN", "background"],
    ["@device gw -o ForkAfterAuthentication=yes", "background"],
    ["@device gw echo -f", "tunnel"],
    ["@device gw -G", "none"],
    ["@device gw -O check", "none"],
  ])("%s needs: %s", (line, needs) => {
    expect(understood(line).needs).toBe(needs);
  });

  test("the identity to push is the one that ssh is given", () => {
    expect(understood("-s @device gw -i key -p 22").destination.pushKey).toEqual({ identityFile: "key" });
    expect(understood("-s @device gw -o IdentityFile=key").destination.pushKey).toEqual({ identityFile: "key" });
    expect(understood("-s @device gw cat -i key").destination.pushKey).toEqual({ identityFile: undefined });
  });

  test("asks for help and version", () => {
    expect(parseSessionCommand(["--help"])).toBe("help");
    expect(parseSessionCommand(["-s", "-h"])).toBe("help");
    expect(parseSessionCommand(["--version"])).toBe("version");
    expect(parseSessionCommand(["-V"])).toBe("version");
    expect(understood("-V @client @device gw").ssh.before).toEqual(["-V"]); // which is ssh's
  });
});

test("an option of many spaces is read in no more time than its length asks for", () => {
  const spaces = " ".repeat(200_000); // a minute and more, were each tried as the end
  expect(configurationOf(`User=a${spaces}b${spaces}`)).toEqual({ key: "user", value: `a${spaces}b` });
});

describe("a usage error is", () => {
  test.each([
    ["nothing at all", ""],
    ["no device", "@client"],
    ["no device after two names", "@client @device"],
    ["a third name", "@a @b @c"],
    ["a name without @", "gw"],
    ["an unknown long option", "--frob @device gw"],
    ["an unknown letter", "-Z @device gw"],
    ["one of ssh's options where @client belongs", "-4 @device gw"],
    ["an option between the names", "@client -4 @device gw"],
    ["an option of ours between the names", "@client -s @device gw"],
    ["an option where the device belongs", "@client @device -4"],
    ["another way for ssh", "@device gw -J jump"],
    ["another proxy command", "@device gw -o ProxyCommand=x"],
    ["another proxy command, written oddly", '@device gw -o "  proxycommand   x"'],
    ["another port", "@device gw -p 2222"],
    ["another port as configuration", "@device gw -oPort=2222"],
    ["an option without its argument", "@device gw -p"],
    ["a long option where ssh has none", "@device gw --wait"],
    ["a malformed user", "@device -x@gw"],
    ["an empty user", "@device @gw"],
    ["a malformed login", "@device gw -l $(x)"],
    ["a reserved device", "@device ls"],
    ["a cut fingerprint", "@device=SHA256:9gO7 gw"],
    ["a fingerprint for the client", `@client=${FINGERPRINT} @device gw`],
    ["a directory without fingerprint", "--directory http://np.example.org @device gw"],
    ["a time that is none", "--wait=soon @device gw"],
    ["a time that is too long", "--wait=25h @device gw"],
    ["a keys folder like an option", "--keys -x @device gw"],
  ])("%s: %s", (_what, line) => {
    expect(() => understood(line)).toThrow(SetupError);
    expect(codeOf(line)).toBe("E_USAGE");
  });
});

describe("for all words", () => {
  const word = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.stringMatching(/^-[a-zA-Z0-9]{1,3}$/),
    fc.constantFrom(
      "-s",
      "-x",
      "-v",
      "--wait",
      "--keys",
      "--directory",
      "--",
      "-",
      "@x",
      "-l",
      "-i",
      "-p",
      "22",
      "echo",
    ),
  );

  test("what stands after the device changes none of our own options", () => {
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (after) => {
        const command = attempt(["@client", "@device", "gw", ...after]);
        if (command === undefined) return;
        expect(command.print).toBe(false);
        expect(command.ssh.after).toEqual(after);
        expect(command.destination).toMatchObject({
          client: "@client",
          device: { name: "@device", member: "gw" },
          directory: undefined,
          keys: undefined,
          waitSeconds: 0,
          pushKey: undefined,
          verbose: false,
        });
      }),
    );
  });

  test("a value in the place of a name never becomes an option of ssh", () => {
    fc.assert(
      fc.property(word, fc.constantFrom(0, 1, 2), (text, place) => {
        const words = ["@client", "@device", "gw"];
        words[place] = text;
        const command = attempt(words);
        if (command === undefined) return;
        expect(command.ssh.before).toEqual([]);
        expect(command.ssh.after.filter((after) => after.startsWith("-"))).toEqual([]);
        // In the first place a word of ours is what it should be: an option ahead of two names.
        if (text.startsWith("-")) expect([place, command.destination.client]).toEqual([0, undefined]);
      }),
    );
  });
});

test.each([
  ["30", 30],
  ["30s", 30],
  ["10m", 600],
  ["24h", 86_400],
])("a wait of %s is %d s", (text, seconds) => {
  expect(parseWait(text)).toBe(seconds);
});

test.each(["", "-k", "a\nb", "a\0b", "${HOME}/keys"])("a keys folder is not %j", (text) => {
  expect(() => parseKeysFolder(text)).toThrow(SetupError);
});

/** A command line by its words, single and double quotes being taken off. */
function understood(line: string): SessionCommand {
  const words = Array.from(line.matchAll(/"([^"]*)"|(\S+)/g), ([, quoted, plain]) => quoted ?? plain ?? "");
  return parse(words);
}

function parse(words: readonly string[]): SessionCommand {
  const command = parseSessionCommand(words);
  if (typeof command === "string") throw new Error(`asks for ${command}`);
  return command;
}

function attempt(words: readonly string[]): SessionCommand | undefined {
  try {
    const command = parseSessionCommand(words);
    return typeof command === "string" ? undefined : command;
  } catch (error) {
    if (error instanceof SetupError && error.code === "E_USAGE") return undefined;
    throw error;
  }
}

function codeOf(line: string): string | undefined {
  try {
    understood(line);
    return undefined;
  } catch (error) {
    return error instanceof SetupError ? error.code : undefined;
  }
}
