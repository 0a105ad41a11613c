import * as fc from "fast-check";
import { utf8 } from "../../../keys/bytes.ts";
import { compareWords, fingerprintWords } from "../../../keys/fingerprint-words.ts";
import { hostName, isMember, isName } from "../../../keys/names.ts";
import { fingerprint } from "../../../keys/openssh.ts";
import { printableJson } from "../../../keys/printable-json.ts";
import { signSshsig } from "../../../keys/sshsig.ts";
import { readKeptBinding } from "../../../protocol/kept-binding.ts";
import { parseSubject, subjectText } from "../../../sshnp/cli/trust/subject.ts";
import { cast } from "../../protocol/fixtures.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { Broken, bytesParser, type Parser, textOf, textParser } from "../subject.ts";

/** What people type to `sshnp trust`, and what it reads of what was kept. */
export const TRUST_PARSERS: readonly Parser[] = [
  {
    name: "words of a fingerprint, as they were heard",
    covers: ["keys/fingerprint-words.ts#compareWords"],
    dictionary: words("abandon", "zoo", "ZOO", " ", "\t", "\n", "constructor", "\u202e"),
    make: async ({ suite }) => {
      const key = fingerprint(suite, utf8("a key"));
      const own = await fingerprintWords(key);
      return {
        samples: fc
          .constantFrom(own, own.toUpperCase(), own.replaceAll(" ", "\n "), Array(10).fill("zoo").join(" "))
          .map(utf8),
        take: async (bytes) => {
          const text = textOf(bytes);
          const isSame = (await compareWords(key, [text])).length === 0;
          if (
            isSame &&
            text
              .toLowerCase()
              .trim()
              .split(/[ \t\r\n]+/)
              .join(" ") !== own
          ) {
            throw new Broken(`${JSON.stringify(text)} is taken for the words of another key`);
          }
          return true;
        },
      };
    },
  },
  {
    name: "value as JSON for a terminal",
    covers: ["keys/printable-json.ts#printableJson"],
    isTotal: true,
    make: () =>
      textParser({
        samples: fc.string({ unit: "binary" }),
        parse: (text) => ({ text, json: printableJson([text]) }),
        holds: ({ text, json }) => /^[\n -~]*$/.test(json) && (JSON.parse(json) as string[])[0] === text,
      }),
  },
  {
    name: "binding that was kept",
    covers: ["protocol/kept-binding.ts#readKeptBinding"],
    make: ({ suite }) => {
      const { device } = cast(suite);
      return bytesParser({
        samples: of.bindingText.map(utf8),
        parse: (bytes) => {
          const text = textOf(bytes);
          const signature = signSshsig(suite, device.owner, "sshnp-binding@v1", utf8(text));
          const [, name = "", member = ""] = /"subject":"([^"/]*)\/([^"/]*)"/.exec(text) ?? [];
          return isName(name) && isMember(member) && readKeptBinding(suite, { name, member }, { text, signature });
        },
        holds: ({ name, member }, bytes) => textOf(bytes).includes(`"subject":"${name}/${member}"`),
      });
    },
  },
  {
    name: "name or host that pins are kept of",
    covers: ["sshnp/cli/trust/subject.ts#parseSubject"],
    make: () =>
      textParser({
        samples: fc.oneof(
          of.name,
          fc.record({ name: of.name, member: of.member }).map((device) => hostName(device)),
        ),
        parse: (text) => parseSubject(text),
        print: (subject) => subjectText(subject),
        words: words("@", ".np", "..", "@device", "mygateway"),
      }),
  },
];
