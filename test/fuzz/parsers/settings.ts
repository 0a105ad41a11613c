import * as fc from "fast-check";
import { isDeepStrictEqual } from "node:util";
import { parseProfileName } from "../../../sshnp/config/profile.ts";
import { SETTINGS } from "../../../sshnp/config/setting.ts";
import { parseSettings } from "../../../sshnp/config/toml.ts";
import { printSettings } from "../../../sshnp/config/write-file.ts";
import { fromNoPorts, fromNpt, isNoPorts, SSHNP_FLAGS } from "../../../sshnp/noports-flags.ts";
import { parseNoPortsProfile } from "../../../sshnp/noports-profile.ts";
import { readNoPortsWords } from "../../../sshnp/noports-words.ts";
import * as of from "../arbitraries.ts";
import { words as dictionary } from "../mutation.ts";
import { type Parser, textParser } from "../subject.ts";

const wordsOf = (text: string): string[] => (text === "" ? [] : text.split("\0"));
/** What may stand in a line of forward that begins with a dash; values of our own options may, too. */
const FORWARD_OPTION = /^-(?:v|-help|-keep-alive|-timeout=|-(?:no-)?wait|-directory|-keys|-witness|-max-c)/;
const PRINTABLE = /^[ -~]*$/;

export const SETTING_PARSERS: readonly Parser[] = [
  {
    name: "settings of a configuration file",
    covers: [
      "sshnp/config/toml.ts#parseSettings",
      "sshnp/config/setting.ts#SETTINGS",
      "sshnp/settings.ts#parseYesOrNo",
    ],
    make: () =>
      textParser({
        samples: fc
          .tuple(of.name, of.name, of.login, fc.constantFrom("\n", "\r\n", " # more\n"))
          .map(
            ([client, device, user, end]) =>
              `client = "${client}"${end}device = '${device}'${end}user = """${user || "pi"}"""${end}wait = "10m"${end}session-key = "yes"${end}`,
          ),
        parse: (text) => parseSettings(text, "config.toml"),
        holds: (settings) =>
          [...settings.keys()].every((key) => SETTINGS.has(key)) &&
          isDeepStrictEqual(parseSettings(printSettings(settings), "printed.toml"), settings),
        words: dictionary(
          '"""',
          "'''",
          "[keys]",
          "keys = ",
          "\\u0061",
          "= { a = ",
          "1979-05-27",
          "__proto__",
          "#",
          "\r",
        ),
      }),
  },
  {
    name: "name of a profile",
    covers: ["sshnp/config/profile.ts#parseProfileName"],
    make: () =>
      textParser({
        samples: of.member,
        parse: (text) => parseProfileName(text),
        print: (name) => name,
        holds: (name) => /^[a-z0-9][\w-]{0,35}$/.test(name),
        words: dictionary("../", "/", ".toml"),
      }),
  },
  {
    name: "words of NoPorts",
    mayRefuseSamples: true,
    covers: [
      "sshnp/noports-flags.ts#fromNoPorts",
      "sshnp/noports-flags.ts#isNoPorts",
      "sshnp/noports-words.ts#readNoPortsWords",
    ],
    make: () =>
      textParser({
        samples: fc
          .tuple(
            of.name,
            of.name,
            of.member,
            fc.array(fc.constantFrom("-s", "-x", "-v", "-o\0-N", "-u\0pi", "-r\0@rv", "--ls", "--wait=1m", "-l\x000")),
          )
          .map(([client, device, member, more]) => ["-f", client, "-t", device, "-d", member, ...more].join("\0")),
        parse: (text) => {
          const line = wordsOf(text);
          const translation = fromNoPorts(line);
          return translation === undefined ? undefined : { line, translation };
        },
        holds: ({ line, translation: { words: ours, notes } }) =>
          isNoPorts(line, SSHNP_FLAGS) &&
          ours.length > 0 &&
          // `ls` without a device says one thing more.
          notes.length - readNoPortsWords(line, SSHNP_FLAGS).notes.length <= (ours[0] === "ls" ? 1 : 0) &&
          notes.length >= readNoPortsWords(line, SSHNP_FLAGS).notes.length &&
          notes.every((note) => PRINTABLE.test(note) && note.includes(" has no effect: ")) &&
          !isNoPorts(ours.slice(0, 1), SSHNP_FLAGS),
        words: dictionary("-f\0@c\0", "--from\0", "--no-et\0", "-d\0", "-h\0@", "--=", "-\0", "--\0", "-svx\0"),
      }),
  },
  {
    name: "words of NoPorts' npt",
    mayRefuseSamples: true,
    covers: ["sshnp/noports-flags.ts#fromNpt"],
    make: () =>
      textParser({
        samples: fc
          .tuple(of.name, of.name, of.member, of.port, fc.subarray(["-K", "-T\x0030s", "-l\x0080", "-h\0web"]))
          .map(([client, device, member, port, more]) =>
            ["-f", client, "-t", device, "-d", member, "-p", `${port}`, ...more].join("\0"),
          ),
        parse: (text) => fromNpt(wordsOf(text)).words,
        holds: (line) => line.every((word) => !word.startsWith("-") || FORWARD_OPTION.test(word)),
        words: dictionary("--rh\0::1\0", "--lp\0", "--no-pss\0", "-p\0"),
      }),
  },
  {
    name: "profile of NoPorts",
    covers: ["sshnp/noports-profile.ts#parseNoPortsProfile"],
    make: () =>
      textParser({
        samples: fc
          .tuple(of.name, of.name, of.member)
          .map(([client, device, member]) => `FROM=${client}\nexport TO="${device}"\nDEVICE=${member}\n# more\n`),
        parse: (text) => {
          const profile = parseNoPortsProfile(text);
          return profile.settings.size === 0 ? undefined : profile;
        },
        holds: ({ settings, notes }, text) =>
          [...settings].every(([key, value]) => SETTINGS.get(key)?.parse(value) === value) &&
          settings.size + notes.length <= text.split("\n").length,
        words: dictionary("REMOTE_USER_NAME=pi\n", "SRVD=", "=", "'", '"', "LOCAL_PORT=0\n", "PASS_PHRASE="),
      }),
  },
];
