import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freePort } from "../support/free-port.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../support/ordinary-user.ts";
import { README_TRANSCRIPT } from "../support/readme.ts";
import { startSshServer } from "../support/sshd.ts";
import { type Terminal, Terminals } from "../support/terminals.ts";
import { haveShell, installCommands, openTerminal } from "./newcomer.ts";

// Four machines are four users of this one, each with a home folder, a terminal and the commands on its PATH. What is
// typed stands in README.md; only hosts, ports, secrets and the name of the login are put in.
test.skipIf(!CAN_MAKE_USERS)(
  "a newcomer types what the README says, and has a shell on the device",
  { timeout: 120_000 },
  async () => {
    await using server = await ordinaryUser();
    await using device = await ordinaryUser();
    await using gateway2 = await ordinaryUser();
    await using laptop = await ordinaryUser();
    await using terminals = await Terminals.start();
    const open = (name: string, user: OrdinaryUser): Promise<Terminal> => openTerminal(terminals, name, user);
    for (const user of [server, device, gateway2, laptop]) await installCommands(user);
    const windows = {
      running: await open("running", server),
      server: await open("server", server),
      device: await open("device", device),
      gateway2: await open("gateway2", gateway2),
      laptop: await open("laptop", laptop),
    };
    await using sshServer = await startSshServer({ authorizedKeysFile: "%h/.ssh/authorized_keys" });
    const [directoryPort, rendezvousPort, forwardPort] = [await freePort(), await freePort(), await freePort()];
    const read = new Reader([
      ["np.example.org:7800", `localhost:${directoryPort}`],
      ["0.0.0.0:7800", `0.0.0.0:${directoryPort}`],
      ["np.example.org:7801", `localhost:${rendezvousPort}`],
      [" pi@", ` ${device.name}@`],
    ]);

    await windows.running.type(read.line("server", "sshnp-directory run"));
    const [, fingerprint = ""] = await windows.running.shows(/^http:\/\/localhost:\d+#SHA256:(\S{43})$/m);
    read.learn("SHA256:9gO7...", `SHA256:${fingerprint}`);
    for (const [name, placeholder] of [
      ["@device", "09a4...40a0"],
      ["@client", "51c7...9e02"],
    ] as const) {
      const added = await windows.server.run(read.line("server", `sshnp-directory name add ${name}`));
      const [secret = ""] = added.split("\n");
      expect(secret).toMatch(/^[0-9a-f]{64}$/);
      expect(added).toContain(`sshnp-keys activate -a ${name} -c ${secret} --directory 'http://localhost:`);
      read.learn(placeholder, secret);
    }

    const activated = await windows.device.run(read.line("device", "sshnp-keys activate"));
    expect(activated).toContain("@device is activated. Owner key: ");
    const daemon = read.line("device", "sshnpd");
    expect(activated).toContain(`Next: ${daemon.replace(/ -s$/, "").replace("@client", "@WHO")}`);
    const runDaemon = `${daemon} --ssh-port ${sshServer.port}`;
    await windows.device.type(runDaemon);
    await windows.device.shows(new RegExp(`^${read.output("device", "sshnpd")}$`, "m"));

    expect(await windows.laptop.run(read.line("laptop", "sshnp-keys activate"))).toContain("@client is activated.");
    await windows.device.shows(/@client is pinned to SHA256:/); // activated after the daemon's start, and learnt by itself
    const first = read.line("laptop", "sshnp -s");
    expect(await windows.laptop.run(first)).toMatch(
      /no key to send[\s\S]*Make one: ssh-keygen -t ed25519[\s\S]*\[E_USAGE\]/,
    );
    await windows.laptop.run("ssh-keygen -t ed25519 -q -N '' -f ~/.ssh/id_ed25519");
    await haveShell(windows.laptop, first, device);
    expect(readFileSync(join(device.home, ".ssh/authorized_keys"), "utf8").split("\n")).toHaveLength(2);
    await haveShell(windows.laptop, read.line("laptop", "sshnp @device"), device);
    const forwarding = read.line("laptop", "sshnp @device").replace("8080", String(forwardPort));
    expect(await windows.laptop.run(forwarding)).toMatch(/load average/);

    expect(await windows.laptop.run(read.line("laptop", "sshnp ssh-config"))).toContain(" is in force. Try it: ssh ");
    await windows.laptop.run("echo 'version 7' > firmware.bin");
    await windows.laptop.run(read.line("laptop", "scp"));
    expect(readFileSync(join(device.home, "firmware.bin"), "utf8")).toBe("version 7\n");
    const hashes = [
      await windows.laptop.run("sha256sum firmware.bin"),
      await windows.laptop.run(read.line("laptop", "ssh")),
    ];
    expect(hashes[1]).toBe(hashes[0]);

    await windows.device.press("C-c");
    await windows.device.prompt();
    const waiting = haveShell(windows.laptop, read.line("laptop", "sshnp --wait"), device);
    await Promise.race([windows.laptop.shows(/waiting for mygateway of @device: last seen /), waiting]);
    await windows.device.type(runDaemon);
    await waiting;
    await windows.device.press("C-c");
    await windows.device.prompt();

    const [password = ""] = (await windows.device.run(read.line("device", "sshnp-keys otp"))).match(/^\S+$/m) ?? [];
    await windows.gateway2.type(read.line("gateway2", "sshnp-keys enroll"));
    await windows.gateway2.shows(/one-time password[^\n]*: *$/im);
    await windows.gateway2.type(password);
    const [, code = ""] = await windows.gateway2.shows(/Code to compare: (\S+)$/m);
    await windows.device.type(read.line("device", "sshnp-keys approve"));
    await windows.device.shows(/Type the code that the new machine shows: /);
    await windows.device.run(code);
    expect(await windows.gateway2.prompt()).toContain("othergateway");
    await windows.gateway2.type(`${read.line("gateway2", "sshnpd")} --ssh-port ${sshServer.port}`);
    await windows.gateway2.shows(/^online: othergateway\.device\.np$/m);
    await windows.gateway2.press("C-c");
    await windows.gateway2.prompt();
    expect(read.unread()).toEqual([]);
    await windows.running.press("C-c");
    await windows.running.prompt();
    expect(existsSync(join(server.home, "np/admin.sock"))).toBe(false);
  },
);

/** What the README types, once each. */
class Reader {
  readonly #words: [string, string][];
  readonly #left = [...README_TRANSCRIPT];

  constructor(words: readonly (readonly [string, string])[]) {
    this.#words = words.map(([from, to]) => [from, to]);
  }

  learn(placeholder: string, value: string): void {
    this.#words.push([placeholder, value]);
  }

  /** The first line left for that machine that begins so, made ready to be typed. */
  line(machine: string, beginning: string): string {
    const index = this.#left.findIndex((command) => command.machine === machine && command.line.startsWith(beginning));
    const [command] = index < 0 ? [] : this.#left.splice(index, 1);
    if (command === undefined) throw new Error(`README.md has no ${machine}$ ${beginning}`);
    return this.#words.reduce((line, [from, to]) => line.replaceAll(from, to), command.line);
  }

  /** What the README shows below a command. */
  output(machine: string, beginning: string): string {
    const command = README_TRANSCRIPT.find(({ machine: on, line }) => on === machine && line.startsWith(beginning));
    return command?.output.join("\n") ?? "";
  }

  unread(): string[] {
    return this.#left.map(({ line }) => line);
  }
}
