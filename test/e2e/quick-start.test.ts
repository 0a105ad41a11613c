/** The page docs/quick-start.md, typed from top to bottom: what stands in its blocks, in their order, at the machine that it names. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freePort } from "../support/free-port.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../support/ordinary-user.ts";
import { type Terminal, Terminals } from "../support/terminals.ts";
import { usualTerminals } from "../support/usual-terminals.ts";
import { haveShell, installCommands, openTerminal } from "./newcomer.ts";

const PAGE = readFileSync(join(import.meta.dirname, "../../docs/quick-start.md"), "utf8");

test.skipIf(!CAN_MAKE_USERS)("whoever types the page has all that it promises", { timeout: 240_000 }, async () => {
  await using server = await ordinaryUser();
  await using device = await ordinaryUser();
  await using laptop = await ordinaryUser();
  await using terminals = await Terminals.start();
  const [namespace, holder] = await usualTerminals();
  await using _ = holder;
  for (const user of [server, device, laptop]) await installCommands(user);
  const machines: Record<string, OrdinaryUser> = { server, device, laptop };
  const [directory, rendezvous] = [await freePort(), await freePort()];
  const replacements: [string, string][] = [
    ["0.0.0.0:7800", `127.0.0.1:${directory}`],
    ["np.example.org:7800", `localhost:${directory}`],
    ["np.example.org:7801", `localhost:${rendezvous}`],
    [" pi@", ` ${device.name}@`],
    ["-keys pi", `-keys ${device.name}`],
    ["sshnpd check", "sshnpd check --ssh-mode inetd"], // this machine may have a server of its own on port 22
    ["sshnpd -a", "sshnpd --ssh-mode inetd -a"],
  ];
  writeFileSync(join(laptop.home, "firmware.bin"), "version 7\n", { mode: 0o644 });

  const windows = new Map<string, Terminal>();
  for (const { place, machine, line } of typedLines(PAGE)) {
    const window =
      windows.get(place) ?? (await openTerminal(terminals, place, machines[machine] ?? expect.fail(place), namespace));
    windows.set(place, window);
    const typed = replacements.reduce((text, [from, to]) => text.replaceAll(from, to), line);
    expect(typed).not.toMatch(/SECRET|ADDRESS|example|\bpi\b/);
    if (line.startsWith("sshnp-directory run ")) {
      await window.type(typed);
      const [address] = await window.shows(/^http:\/\/localhost:\d+#SHA256:\S{43}$/m);
      replacements.push(["ADDRESS", address]);
    } else if (line.startsWith("sshnpd -a ")) {
      await window.type(typed);
      await window.shows(/^online: mygateway\.device\.np$/m);
    } else if (/^(?:ssh|sshnp --session-key) /.test(line)) {
      await haveShell(window, typed, device);
    } else {
      const output = await window.run(typed);
      expect(await window.run("echo $?"), output).toBe("0");
      const [, name] = /^sshnp-directory name add (\S+)/.exec(line) ?? [];
      const [, secret] = /^([0-9a-f]{64})$/m.exec(output) ?? [];
      if (name !== undefined) replacements.push([`-a ${name} -c SECRET`, `-a ${name} -c ${secret}`]);
    }
  }
  expect([...windows.keys()]).toEqual(["server", "server-second", "device", "laptop"]);
  expect(readFileSync(join(device.home, "firmware.bin"), "utf8")).toBe("version 7\n");
});

/** Each line of the blocks, with the terminal that the words ahead of its block name, which goes for later blocks as well. */
function typedLines(page: string): { readonly place: string; readonly machine: string; readonly line: string }[] {
  let [machine, place] = ["", ""];
  return page.split(/^(```\n.*?^```)$/ms).flatMap((part) => {
    const [, block] = /^```\n(.*)^```$/ms.exec(part) ?? [];
    if (block !== undefined)
      return block
        .trimEnd()
        .split("\n")
        .map((line) => ({ place, machine, line }));
    const [, on, second] =
      /On the (server|device|laptop)(?:, in a (second) terminal|, as its user pi)?:\s*$/.exec(part) ?? [];
    if (on !== undefined) [machine, place] = [on, second === undefined ? on : `${on}-${second}`];
    return [];
  });
}
