import * as fc from "fast-check";
import { hasInclude, withInclude, withoutInclude } from "../../../sshnp/include-line.ts";
import {
  controlPathIn,
  isOurBlock,
  parseHostPattern,
  readBlock,
  sampleHost,
  sshConfigBlock,
} from "../../../sshnp/ssh-config-block.ts";
import { pathInConfiguration, proxyCommand } from "../../../sshnp/ssh-command.ts";
import { parseTransfer } from "../../../sshnp/transfer-line.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { type Parser, textParser } from "../subject.ts";

const hostPattern = fc.oneof(
  fc.constant("*.np"),
  of.name.map((name) => `*.${name.slice(1)}.np`),
);
const line = fc.constantFrom("Host *\n", "  User pi\n", "\n", "# sshnp\n", "Include config.d/*\n", "\r\n");
const PATH = '"/home/pi/.ssh/config.d/sshnp"';

export const SSH_CONFIG_PARSERS: readonly Parser[] = [
  {
    name: "pattern for host names of devices",
    covers: ["sshnp/ssh-config-block.ts#parseHostPattern", "sshnp/ssh-config-block.ts#sampleHost"],
    make: () =>
      textParser({
        samples: hostPattern,
        parse: parseHostPattern,
        holds: (pattern) => /^[a-z0-9_-]+\.[a-z0-9-]+\.np$/.test(sampleHost(pattern)),
        words: words("*", "?", ".np", "!", ",", " "),
      }),
  },
  {
    name: "block of ssh_config of ours",
    mayRefuseSamples: true,
    covers: ["sshnp/ssh-config-block.ts#readBlock", "sshnp/ssh-config-block.ts#isOurBlock"],
    make: () =>
      textParser({
        samples: fc.tuple(hostPattern, fc.boolean()).map(([pattern, sessionKey]) =>
          sshConfigBlock({
            hostPattern: pattern,
            sessionKey,
            proxy: ["/usr/bin/node", "/usr/lib/main.js", "proxy"],
            keys: "/home/pi/keys",
            controlPath: "/home/pi/.ssh/sshnp-%C",
            waits: false,
            knowsKnownHostsCommand: true,
          }),
        ),
        parse: readBlock,
        holds: ({ keys, hostPattern: hosts }, text) =>
          isOurBlock(text) && hosts !== "" && keys.length > 0 && keys.every((key) => /^[a-z]+$/.test(key)),
        words: words("# Begin sshnp ", "# End sshnp\n", "Host ", "  ProxyCommand "),
      }),
  },
  {
    name: "configuration of ssh with our Include line",
    isTotal: true,
    covers: ["sshnp/include-line.ts#hasInclude"],
    make: () =>
      textParser({
        samples: fc.array(line, { maxLength: 6 }).map((lines) => lines.join("")),
        parse: (text) => ({ text }),
        // Whatever is not ours comes back as it was, and a second time changes nothing.
        holds: ({ text }) => {
          const once = withInclude(text, PATH);
          const bare = hasInclude(text) ? (withoutInclude(text) ?? "") : text;
          return hasInclude(once) && withInclude(once, PATH) === once && (withoutInclude(once) ?? "") === bare;
        },
        words: words("# sshnp ssh-config --uninstall takes away ", "\nInclude ", "\n"),
      }),
  },
  {
    name: "path in a configuration of ssh",
    covers: [
      "sshnp/ssh-command.ts#pathInConfiguration",
      "sshnp/ssh-command.ts#proxyCommand",
      "sshnp/ssh-config-block.ts#controlPathIn",
    ],
    make: () =>
      textParser({
        samples: fc.constantFrom("/home/pi/keys", "/home/a b/it's", "/100%h/ü"),
        parse: (path) => ({ path, words: [pathInConfiguration(path), proxyCommand([path])] }),
        holds: ({ path, words: [inFile = "", inCommand = ""] }) =>
          !/\p{Cc}|\$\{/u.test(inFile + inCommand) &&
          inFile.replaceAll("%%", "%").replace(/\\([\\"])/g, "$1") === `"${path}"` &&
          !/(?<!%)(?:%%)*%(?!%)/.test(inCommand) &&
          Buffer.byteLength(controlPathIn([path]) ?? "") <= 103,
        words: words("%", '"', "\\", "'", "${"),
      }),
  },
  {
    name: "words of sshnp cp, rsync and sftp",
    mayRefuseSamples: true,
    covers: ["sshnp/transfer-line.ts#parseTransfer"],
    make: () =>
      textParser({
        samples: fc
          .tuple(
            fc.constantFrom("scp", "sftp", "rsync"),
            of.name,
            of.member,
            fc.subarray(["-a", "-e", "ssh", "-i", "key", "file"]),
          )
          .map(([program, device, member, others]) => [program, device, ...others, `pi@${member}:path`].join("\0")),
        parse: (text) => {
          const [program = "", ...all] = text.split("\0");
          if (program !== "scp" && program !== "sftp" && program !== "rsync") return undefined;
          const command = parseTransfer(program, all, { client: undefined, device: undefined });
          return command === "help" ? undefined : command;
        },
        // Every operand that the program takes for a remote one is on the device that was parsed.
        holds: ({ destination: { device }, words: all }) => {
          const operands = all.slice(all.indexOf("--") + 1);
          const remote = operands.filter((operand) => /^[^:/[\]]+:/.test(operand));
          const host = `${device.member}.${device.name.slice(1)}.np:`;
          return remote.every((operand) =>
            operand.slice(operand.lastIndexOf("@", operand.indexOf(":")) + 1).startsWith(host),
          );
        },
        words: words("\0", "--wait\0", "--\0", "@device\0", "-e\0", "gw.device.np:", "pi@", ":"),
      }),
  },
];
