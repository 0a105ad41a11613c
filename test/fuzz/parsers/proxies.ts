import * as fc from "fast-check";
import { utf8 } from "../../../keys/bytes.ts";
import { PeerError } from "../../../keys/errors.ts";
import { parseProxyAnswer } from "../../../directory/client/proxy-answer.ts";
import { isExcepted, parseProxyUrl } from "../../../directory/client/proxy-settings.ts";
import { isPrivateName } from "../../../rendezvous/resolver.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { type Parser, textParser } from "../subject.ts";

const host = fc.oneof(
  fc.domain(),
  of.ipv4,
  of.ipv6.map((text) => `[${text}]`),
);
const challenge = fc.constantFrom(
  'Basic realm="a, b"',
  "Negotiate",
  "NTLM TlRMTVNTUAACAAAA",
  'Digest realm="x\\"y", qop="auth"',
);

/** What people write into variables about proxies, and what proxies answer. */
export const PROXY_PARSERS: readonly Parser[] = [
  {
    name: "answer of a proxy",
    covers: ["directory/client/proxy-answer.ts#parseProxyAnswer"],
    make: () =>
      textParser({
        samples: fc
          .tuple(
            fc.integer({ min: 200, max: 599 }),
            fc.array(challenge, { maxLength: 3 }),
            fc.string({ maxLength: 30 }),
          )
          .map(([status, all, rest]) => {
            const fields = all.map((one) => `Proxy-Authenticate: ${one}\r\n`).join("");
            return `HTTP/1.1 ${status} Some Reason\r\n${fields}Via: 1.1 squid\r\n\r\n${rest}`;
          }),
        parse: (text) => {
          const answer = parseProxyAnswer(utf8(text));
          if (answer === undefined) throw new PeerError("E_PROTOCOL", "the head is not whole");
          return answer;
        },
        holds: ({ status, schemes, length }, text) =>
          status >= 200 &&
          status < 600 &&
          length <= utf8(text).length &&
          schemes.every((scheme) => /^[A-Za-z][A-Za-z0-9-]{0,31}$/.test(scheme)),
        words: words("HTTP/1.1 ", "HTTP/1.0 407", "\r\n\r\n", "\n\n", "Proxy-Authenticate:", '"', "\\", ","),
      }),
  },
  {
    name: "URL of a proxy",
    covers: ["directory/client/proxy-settings.ts#parseProxyUrl"],
    make: () =>
      textParser({
        samples: fc
          .tuple(
            fc.constantFrom("http://", "https://", ""),
            fc.constantFrom("", "user@", "us%40er:p%3Aw@"),
            host,
            of.port,
          )
          .map(([scheme, user, name, port]) => `${scheme}${user}${name}:${port}`),
        parse: (text) => {
          const { host: name, port, isSecure, user } = parseProxyUrl("HTTPS_PROXY", text);
          return { host: name, port, isSecure, user };
        },
        holds: ({ host: name, port, user }) =>
          name !== "" && port >= 1 && port <= 65_535 && (user === undefined || /^[^:\p{Cc}]+$/u.test(user)),
        words: words("http://", "https://", "socks5://", "@", ":", "%", "%00", "%0d%0a", "[", "]", "/", "?", "#"),
      }),
  },
  {
    name: "hosts that no proxy is for",
    share: 0.2,
    because: "a list of blocks of Node's for each network of each input",
    covers: ["directory/client/proxy-settings.ts#isExcepted", "rendezvous/resolver.ts#isPrivateName"],
    isTotal: true,
    make: () =>
      textParser({
        samples: fc
          .array(
            fc.oneof(
              host,
              fc.tuple(host, of.port).map(([name, port]) => `${name}:${port}`),
              of.ipv4.map((address) => `${address}/8`),
              fc.constantFrom("*", ".example.org", "*.example.org", "fd00::/8", "[fd00::]/8", "::1"),
            ),
            { maxLength: 5 },
          )
          .map((all) => all.join(",")),
        parse: (text) => ({
          all: ["other.test", "10.1.2.3", "fd00::1"].map((name) => isExcepted(text, name, 443)),
          isPrivate: isPrivateName(text),
        }),
        holds: ({ all }, text) => !text.split(/[\s,]+/).includes("*") || all.every(Boolean),
        words: words("*", ".", ",", " ", "/", "/8", "/129", ":443", "[", "]", "::", "10."),
      }),
  },
];
