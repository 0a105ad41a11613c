import * as fc from "fast-check";
import { isDeepStrictEqual } from "node:util";
import { base64 } from "../../../keys/bytes.ts";
import { hostName, isMember, isName, quoted } from "../../../keys/names.ts";
import { parsePublicKeyLine } from "../../../keys/openssh.ts";
import { printable } from "../../../keys/print-error.ts";
import { shellWord } from "../../../keys/shell-word.ts";
import { formatHostPort, parseHostPort } from "../../../directory/cli/host-port.ts";
import { isWildcard } from "../../../keys/wildcard.ts";
import { isLoopback, networkOf } from "../../../protocol/network-of.ts";
import { parseDirectoryAddress } from "../../../protocol/directory-address.ts";
import {
  formatRendezvousAddress,
  isRendezvousAddress,
  parseRendezvousAddress,
} from "../../../protocol/rendezvous-address.ts";
import { printService } from "../../../protocol/policy/patterns.ts";
import { isLogin, parseService } from "../../../protocol/service.ts";
import { parseMetricsAddress } from "../../../keys/metrics/metrics-address.ts";
import { parseListen, publicAddresses } from "../../../rendezvous/host-port.ts";
import { isLoopbackAddress, isPrivateAddress, parseIpAddress } from "../../../rendezvous/ip-address.ts";
import { originOf } from "../../../rendezvous/origin.ts";
import { type Destination, parseKeysFolder, parseSessionCommand, parseWait } from "../../../sshnp/command-line.ts";
import { parseProxyLine, proxyWords } from "../../../sshnp/proxy-line.ts";
import { parseConfiguredLogin, parseFirstPublicKey } from "../../../sshnp/public-key.ts";
import { shellCommand, sshArguments } from "../../../sshnp/ssh-command.ts";
import { argumentOf, configurationOf, scanSshOptions, sshLetter } from "../../../sshnp/ssh-options.ts";
import { readDefaults } from "../../../sshnp/settings.ts";
import { parseLogin, readTarget } from "../../../sshnp/target.ts";
import { parsePasswdLine } from "../../../sshnpd/accounts.ts";
import { hasKey } from "../../../sshnpd/authorized-keys.ts";
import { parseClients } from "../../../sshnpd/clients.ts";
import { parseCertifiedLogins, parseLogins } from "../../../sshnpd/session-keys.ts";
import { parsePermitOpen } from "../../../sshnpd/permit-open.ts";
import { parseKeyscan } from "../../../sshnpd/host-keys.ts";
import { parsePublicHalf } from "../../../sshnpd/inetd-program.ts";
import { parseTerminalMount, type TerminalMount } from "../../../sshnpd/judge-terminals.ts";
import { parseListeningSockets } from "../../../sshnpd/listening-sockets.ts";
import { sshBanner } from "../../../sshnp/ssh-banner.ts";
import { parseSshdConfiguration } from "../../../sshnpd/sshd-configuration.ts";
import { onlyLoginReason, parseOnlyLogin } from "../../../protocol/only-login.ts";
import { parseLoginGraceTime } from "../../../sshnpd/login-limits.ts";
import { parseMaxStartups } from "../../../sshnpd/startup-gate.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { type Parser, textParser } from "../subject.ts";

const host = fc.oneof(
  fc.domain(),
  of.ipv4,
  of.ipv6.map((text) => `[${text}]`),
);
const hostPort = fc.tuple(host, of.port).map(([name, at]) => `${name}:${at}`);
const ip = fc.oneof(
  of.ipv4,
  of.ipv6,
  fc.constantFrom("::ffff:127.0.0.1", "fe80::1%eth0", "64:ff9b::7f00:1", "::1", "::"),
);
const IP_WORDS = words("::ffff:", "127.0.0.1", "%eth0", "fe80::", "::", "0x7f", "010");
const PRINTABLE = /^[ -~]*$/;
const SSH_OPTIONS = words(
  ..."-o\0 -oProxyCommand=x\0 -p\0 22\0 -l\0 pi\0 -i\0 key\0 -L\0 8080:localhost:80\0 --\0 -f\0 -N\0 -J\0 @device\0 mygateway\0 uptime\0".split(
    " ",
  ),
);

/** With control characters, lone surrogates and all. */
const anyText = fc.array(fc.nat(0x10ffff)).map((points) => String.fromCodePoint(...points));

/** Words of a command line, with a zero between them, which none can hold. */
const wordsOf = (text: string): string[] => (text === "" ? [] : text.split("\0"));
const lineOf = (all: readonly string[]): string => all.join("\0");
const sshWords = fc.array(
  fc.constantFrom(
    "-p",
    "22",
    "-v",
    "-L",
    "8080:localhost:80",
    "-o",
    "User=pi",
    "-oPort=22",
    "uptime",
    "-N",
    "-t",
    "-i",
    "key",
  ),
  { maxLength: 6 },
);

const destination: fc.Arbitrary<Destination> = fc.record({
  client: fc.option(of.name, { nil: undefined }),
  device: fc.record({ name: of.name, member: of.member }),
  owner: fc.option(
    of.fingerprintText.filter((text) => /[AEIMQUYcgkosw048]$/.test(text)),
    { nil: undefined },
  ),
  login: of.login,
  directory: fc.option(
    of.fingerprintText.map((text) => `http://np.example.org:7800#${text}`),
    { nil: undefined },
  ),
  keys: fc.constantFrom(undefined, "/home/pi/keys", "./keys"),
  waitSeconds: fc.constantFrom(0, 1, 600, 86_400),
  pushKey: fc.constantFrom(undefined, { identityFile: undefined }, { identityFile: "key" }),
  verbose: fc.boolean(),
});

export const WORD_PARSERS: readonly Parser[] = [
  {
    name: "address of a directory",
    covers: ["protocol/directory-address.ts#parseDirectoryAddress"],
    make: () =>
      textParser({
        samples: fc
          .tuple(fc.constantFrom("http", "https"), hostPort, fc.constantFrom("", "/np"), of.fingerprintText)
          .map(([scheme, at, path, key]) => `${scheme}://${at}${path}#${key}`),
        parse: (text) => parseDirectoryAddress(text),
        print: ({ text }) => text,
        holds: ({ url, fingerprint }, text) =>
          text.endsWith(`#${fingerprint}`) &&
          /^https?:$/.test(url.protocol) &&
          url.host !== "" &&
          url.username === "" &&
          url.search === "",
        words: words("http://", "https://", "#SHA256:", "user:password@", "?", "file:///"),
      }),
  },
  {
    name: "address of a rendezvous",
    covers: [
      "protocol/rendezvous-address.ts#parseRendezvousAddress",
      "protocol/rendezvous-address.ts#isRendezvousAddress",
    ],
    make: () =>
      textParser({
        samples: of.rendezvousAddress,
        parse: (text) => parseRendezvousAddress(text),
        print: formatRendezvousAddress,
        holds: ({ port }, text) => isRendezvousAddress(text) && port >= 1 && port <= 65_535,
        words: words("tcp://", "ws://", "wss://", "[::1]", "[1]", "[1.2.3.4]", "..", "-"),
      }),
  },
  {
    name: "banner of an SSH server",
    covers: ["sshnp/ssh-banner.ts#sshBanner"],
    isTotal: true, // but for what is longer than inputs mostly are
    make: () =>
      textParser({
        samples: fc.stringMatching(/^(?:[a-z ]{0,20}\r\n){0,3}SSH-2\.0-[!-~]{1,40}\r\n$/),
        parse: (text) => sshBanner(text),
        holds: (said, text) => {
          if (said === "more") return text.length <= 8 * 1024;
          return said.banner.startsWith("SSH-") && said.banner.length <= 254 && text.includes(said.banner);
        },
        words: words("SSH-", "SSH-2.0-", "\r\n", "\n", "\u001b[2J"),
      }),
  },
  {
    name: "service",
    covers: ["protocol/service.ts#parseService"],
    make: () =>
      textParser({
        samples: of.service,
        parse: (text) => parseService(text),
        print: (service) => {
          if (service.kind !== "tcp") return service.kind;
          return `tcp:${service.host.includes(":") ? `[${service.host}]` : service.host}:${service.port}`;
        },
        words: words("ssh", "tcp:", "[::1]", "[1]", "[1.2.3.4]", "localhost"),
      }),
  },
  {
    name: "login",
    covers: ["protocol/service.ts#isLogin", "sshnp/target.ts#parseLogin"],
    make: () =>
      textParser({
        samples: of.login.filter((text) => text !== ""),
        parse: (text) => parseLogin(text),
        print: (text) => text,
        holds: (text) => isLogin(text) && !text.startsWith("-") && text.length <= 32,
      }),
  },
  {
    name: "HOST:PORT of a directory",
    covers: ["directory/cli/host-port.ts#parseHostPort", "keys/wildcard.ts#isWildcard"],
    make: () =>
      textParser({
        samples: fc.oneof(hostPort, fc.constantFrom("0.0.0.0:0", "[::]:7800", "[0:0::0]:7800")),
        parse: (text) => parseHostPort(text, "--listen"),
        holds: (value) =>
          isDeepStrictEqual(parseHostPort(formatHostPort(value), "--listen"), value) &&
          (!isWildcard(value.host) || /^[0x.:]+$/.test(value.host)),
      }),
  },
  {
    name: "where metrics are served",
    covers: ["keys/metrics/metrics-address.ts#parseMetricsAddress"],
    make: () =>
      textParser({
        samples: fc.oneof(hostPort, fc.constantFrom("9464", "[::1]:0")),
        parse: (text) => parseMetricsAddress(text),
        holds: (place) => {
          const { host: name, port } = place;
          const again = `${name.includes(":") ? `[${name}]` : name}:${port}`;
          return port <= 65_535 && isDeepStrictEqual(parseMetricsAddress(again), place);
        },
      }),
  },
  {
    name: "public addresses of a rendezvous",
    covers: ["rendezvous/host-port.ts#publicAddresses"],
    make: () =>
      textParser({
        samples: fc
          .array(
            fc
              .tuple(fc.constantFrom("", "", "tcp://", "ws://", "wss://"), hostPort)
              .map((parts) => parts.join("").toLowerCase()),
            { minLength: 1, maxLength: 2 },
          )
          .map((addresses) => addresses.join(",")),
        parse: (text) => publicAddresses(text, { host: "127.0.0.1", port: 7801 }),
        holds: (addresses) =>
          addresses.length > 0 && addresses.length <= 4 && addresses.every((one) => isRendezvousAddress(one)),
      }),
  },
  {
    name: "HOST:PORT of a rendezvous",
    covers: ["rendezvous/host-port.ts#parseListen"],
    make: () =>
      textParser({
        samples: fc
          .tuple(
            fc.oneof(
              fc.domain().map((text) => text.toLowerCase()),
              of.ipv4,
              fc.constantFrom("[::1]", "[2001:db8::1]"),
            ),
            of.port,
          )
          .map(([name, at]) => `${name}:${at}`),
        parse: (text) => {
          const listening = parseListen(text);
          return { listening, addresses: publicAddresses(text, listening) };
        },
        holds: ({ listening: { port }, addresses }) =>
          port <= 65_535 && addresses.length === 2 && addresses.every((one) => isRendezvousAddress(one)),
      }),
  },
  {
    name: "IP address",
    covers: [
      "rendezvous/ip-address.ts#parseIpAddress",
      "rendezvous/ip-address.ts#isPrivateAddress",
      "rendezvous/ip-address.ts#isLoopbackAddress",
    ],
    make: () =>
      textParser({
        samples: ip,
        parse: (text) => {
          const bytes = parseIpAddress(text);
          if (bytes === undefined && !isPrivateAddress(text)) throw new Error("what is no address is dialled");
          return (
            bytes && {
              bytes,
              isPrivate: isPrivateAddress(text),
              isLoopback: isLoopbackAddress(text),
              origin: originOf(text),
            }
          );
        },
        holds: ({ bytes, isPrivate, isLoopback: isOwn, origin }) =>
          [4, 16].includes(bytes.length) && (!isOwn || isPrivate) && (origin === undefined) === isOwn,
        words: IP_WORDS,
      }),
  },
  {
    name: "address that is counted",
    covers: ["protocol/network-of.ts#networkOf", "protocol/network-of.ts#isLoopback"],
    isTotal: true,
    make: () =>
      textParser({
        samples: ip,
        parse: (text) => ({ network: networkOf(text) }),
        holds: ({ network }, text) =>
          isLoopback(text) === (network === "loopback") && network.length <= Math.max(8, text.length + 8),
        words: IP_WORDS,
      }),
  },
  {
    name: "logins of --session-keys",
    covers: ["sshnpd/session-keys.ts#parseCertifiedLogins", "sshnpd/session-keys.ts#parseLogins"],
    make: () =>
      textParser({
        samples: fc
          .array(
            of.login.filter((text) => text !== ""),
            { minLength: 1, maxLength: 4 },
          )
          .map((all) => all.join(",")),
        parse: (text) => ({ set: parseCertifiedLogins(text), list: parseLogins(text, "--for") }),
        print: ({ list }) => list.join(","),
        holds: ({ set, list }) => set !== "any" && list.every((login) => set.has(login) && isLogin(login)),
      }),
  },
  {
    name: "words that name whom to reach",
    covers: ["sshnp/target.ts#readTarget", "sshnp/settings.ts#readDefaults"],
    make: () =>
      textParser({
        samples: fc
          .tuple(of.name, of.name, of.login, of.member, fc.constantFrom("1", "2", "3", "4"))
          .map(([client, device, login, member, form]) => {
            const user = login === "" ? "" : `${login}@`;
            const hostWord = `${member}.${device.slice(1)}.np`;
            if (form === "1") return lineOf([client, device, `${user}${member}`, "uptime"]);
            if (form === "2") return lineOf([device, `${user}${member}`]);
            return lineOf(form === "3" ? [client, `${user}${hostWord}`] : [`${user}${member}`]);
          }),
        parse: (text) => {
          const given = wordsOf(text);
          const defaults = readDefaults({
            SSHNP_DEVICE: "@acme",
            SSHNP_CLIENT: given[0]?.startsWith("@") ? given[0] : "",
          });
          return { given, target: readTarget(given, defaults, "usage") };
        },
        holds: ({ given, target: { device, user, words: count } }) =>
          count >= 1 &&
          count <= Math.min(3, given.length) &&
          isName(device.name) &&
          isMember(device.member) &&
          (user === undefined || (user !== "" && isLogin(user))) &&
          given.slice(0, count).every((word) => !word.startsWith("-")),
      }),
  },
  {
    name: "words of a session",
    mayRefuseSamples: true,
    covers: ["sshnp/command-line.ts#parseSessionCommand", "sshnp/ssh-command.ts#shellCommand"],
    make: () =>
      textParser({
        samples: fc
          .tuple(
            fc.subarray(["-s", "-x", "-v", "--wait=30s", "--keys=./keys"]),
            fc.option(of.name),
            of.name,
            of.member,
            sshWords,
          )
          .map(([own, client, device, member, rest]) =>
            lineOf([...own, ...(client === null ? [] : [client]), device, member, ...rest]),
          ),
        parse: (text) => parseSessionCommand(wordsOf(text)),
        holds: (command) => {
          if (typeof command === "string") return command === "help" || command === "version";
          const args = sshArguments(command, {
            node: "/usr/bin/node",
            main: "/usr/lib/main.js",
            keys: "/home/pi/keys",
          });
          const at = args.findIndex(
            (word) => word.endsWith(hostName(command.destination.device)) && !word.includes("="),
          );
          // Our options come first, whatever the words say, and no word of the user's stands ahead of them.
          return (
            args[0] === "-o" && args[1]?.startsWith("ProxyCommand=") === true && at > 0 && shellCommand(args).length > 0
          );
        },
        words: SSH_OPTIONS,
      }),
  },
  {
    name: "words of sshnp proxy",
    covers: ["sshnp/proxy-line.ts#parseProxyLine"],
    make: () =>
      textParser({
        samples: destination.map((one) => lineOf(proxyWords(one).slice(1))),
        parse: (text) => parseProxyLine(wordsOf(text)),
        // What is written into ssh's configuration is read back as the same destination.
        holds: (parsed) =>
          typeof parsed === "string" || isDeepStrictEqual(parseProxyLine(proxyWords(parsed).slice(1)), parsed),
        words: words(
          ..."--client\0 --owner\0 --directory\0 --keys\0 --wait=10m\0 -s\0 -i\0 -v\0 pi@ .np :22".split(" "),
        ),
      }),
  },
  {
    name: "options of ssh",
    mayRefuseSamples: true,
    covers: ["sshnp/ssh-options.ts#scanSshOptions"],
    make: () =>
      textParser({
        samples: sshWords.map(lineOf),
        parse: (text) => {
          const all = wordsOf(text);
          return { all, scan: scanSshOptions(all), argument: argumentOf("p", all[0] ?? "") };
        },
        holds: ({ all, scan: { options, words: count } }) =>
          count <= all.length &&
          options.every(({ letter, value }) => value === undefined || sshLetter(letter) === "argument"),
        words: SSH_OPTIONS,
      }),
  },
  {
    name: "option of an ssh configuration",
    covers: ["sshnp/ssh-options.ts#configurationOf"],
    make: () =>
      textParser({
        samples: fc
          .tuple(
            fc.constantFrom("User", "ProxyCommand", '"Port"'),
            fc.constantFrom("=", " = ", " ", "\t"),
            fc.constantFrom("pi", '"a b"', "nc %h %p", "  22 "),
          )
          .map((parts) => parts.join("")),
        parse: (text) => configurationOf(text),
        holds: ({ key, value }) => /^[a-z0-9]+$/.test(key) && value.length >= 0,
        words: words("=", " = ", "     ", '"'),
      }),
  },
  {
    name: "time to wait",
    covers: ["sshnp/command-line.ts#parseWait"],
    make: () =>
      textParser({
        samples: fc
          .tuple(fc.integer({ min: 1, max: 24 }), fc.constantFrom("", "s", "m", "h"))
          .map((parts) => parts.join("")),
        parse: (text) => parseWait(text),
        holds: (seconds) => Number.isSafeInteger(seconds) && seconds >= 1 && seconds <= 86_400,
      }),
  },
  {
    name: "path of a keys folder",
    covers: ["sshnp/command-line.ts#parseKeysFolder"],
    make: () =>
      textParser({
        samples: fc.constantFrom("./keys", "/home/pi/.keys", "a b", "keys%h", "ä"),
        parse: (text) => parseKeysFolder(text),
        print: (text) => text,
        holds: (text) => !text.startsWith("-") && !text.includes("\n") && !text.includes("${"),
      }),
  },
  {
    name: "clients of a daemon",
    mayRefuseSamples: true,
    covers: ["sshnpd/clients.ts#parseClients"],
    make: () =>
      textParser({
        samples: fc
          .array(fc.tuple(of.name, fc.option(of.fingerprintText.filter((text) => /[AEIMQUYcgkosw048]$/.test(text)))), {
            minLength: 1,
            maxLength: 5,
          })
          .map((all) => all.map(([name, key]) => (key === null ? name : `${name}=${key}`)).join(",")),
        parse: (text) => parseClients(wordsOf(text)),
        holds: (listed) => listed.size <= 64,
        words: words("@client", "=SHA256:", ",", "\0"),
      }),
  },
  {
    name: "places that a daemon permits",
    covers: ["sshnpd/permit-open.ts#parsePermitOpen"],
    make: () =>
      textParser({
        samples: fc.constantFrom("127.0.0.1:80", "db.example.org:5432", "[fd00::1]:443", "a:1"),
        parse: (text) => [...parsePermitOpen([text])][0] ?? "",
        holds: (service) => printService(parseService(service)) === service,
        words: words("[", "]", ":80", "tcp:", "*", "."),
      }),
  },
  {
    name: "output of ssh -G",
    covers: ["sshnp/public-key.ts#parseConfiguredLogin"],
    make: () =>
      textParser({
        samples: of.login.filter((text) => text !== "").map((user) => `host mygateway\nuser ${user}\nport 22\n`),
        parse: (text) => parseConfiguredLogin(text),
        holds: (user) => user !== "" && isLogin(user),
        words: words("\nuser ", "user ", "\n"),
      }),
  },
  {
    name: "public keys of the agent",
    covers: ["sshnp/public-key.ts#parseFirstPublicKey"],
    make: () =>
      textParser({
        samples: fc
          .array(of.publicKeyLine, { minLength: 1, maxLength: 3 })
          .map((lines) => lines.map((line) => `${line} pi@laptop\n`).join("")),
        parse: (text) => parseFirstPublicKey(text),
        holds: ({ line }, text) => text.includes(line),
      }),
  },
  {
    name: "line of passwd",
    covers: ["sshnpd/accounts.ts#parsePasswdLine"],
    make: () =>
      textParser({
        samples: fc
          .tuple(fc.nat(70_000), fc.nat(70_000), fc.constantFrom("/home/pi", "/", "/root"))
          .map(([uid, gid, home]) => `pi:x:${uid}:${gid}:Pi,,,:${home}:/bin/sh`),
        parse: (text) => parsePasswdLine(text, "pi"),
        holds: ({ login, uid, gid, home }) =>
          login === "pi" && uid <= 9_999_999_999 && gid <= 9_999_999_999 && home.startsWith("/"),
        words: words("pi:", ":0:0:", ":", "root"),
      }),
  },
  {
    name: "table of sockets",
    covers: ["sshnpd/listening-sockets.ts#parseListeningSockets"],
    isTotal: true,
    make: () =>
      textParser({
        samples: fc
          .array(fc.tuple(fc.constantFrom("0016", "1E78"), fc.constantFrom("0A", "01"), fc.nat(99_999)), {
            maxLength: 4,
          })
          .map((rows) =>
            rows
              .map(
                ([port, state, inode], i) =>
                  `   ${i}: 00000000:${port} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0000000000000000 100 0 0 10 0\n`,
              )
              .join(""),
          ),
        parse: (text) => parseListeningSockets(text, 22),
        holds: (inodes, text) =>
          inodes.length <= text.split("\n").length && inodes.every((inode) => text.includes(inode)),
        words: words("0A ", ":0016 ", "\n"),
      }),
  },
  {
    name: "table of mounts",
    covers: ["sshnpd/judge-terminals.ts#parseTerminalMount"],
    isTotal: true,
    make: () =>
      textParser({
        samples: fc
          .array(
            fc.tuple(
              fc.constantFrom("/dev/pts", "/dev", "/mnt/a\\040b"),
              fc.constantFrom("devpts", "tmpfs"),
              fc.constantFrom("", ",gid=5", ",gid=100005,mode=620"),
              fc.constantFrom("", ",ptmxmode=000", ",ptmxmode=666"),
            ),
            { maxLength: 4 },
          )
          .map((rows) => rows.map(([path, type, ...more]) => `none ${path} ${type} rw${more.join("")} 0 0\n`).join("")),
        parse: (text) => parseTerminalMount(text) ?? {},
        holds: ({ gid, ptmxMode }: Partial<TerminalMount>, text) =>
          (gid === undefined || (gid < 1e10 && new RegExp(`gid=0*${gid}(?![0-9])`).test(text))) &&
          (ptmxMode === undefined || (/^[0-7]{1,4}$/.test(ptmxMode) && text.includes(`ptmxmode=${ptmxMode}`))),
        words: words(" /dev/pts devpts ", ",gid=", ",ptmxmode=", "\n"),
      }),
  },
  {
    name: "output of ssh-keyscan",
    covers: ["sshnpd/host-keys.ts#parseKeyscan"],
    isTotal: true,
    make: () =>
      textParser({
        samples: fc
          .array(of.publicKeyLine, { maxLength: 3 })
          .map((lines) => lines.map((line) => `# 127.0.0.1:22 SSH-2.0-OpenSSH_9.2p1\n127.0.0.1 ${line}\n`).join("")),
        parse: (text) => parseKeyscan(text),
        holds: (keys, text) => keys.every(({ line }) => text.includes(line)),
        words: words("127.0.0.1 ", "[127.0.0.1]:2222 ", "# ", "\n"),
      }),
  },
  {
    name: "only login",
    covers: ["protocol/only-login.ts#parseOnlyLogin"],
    make: () =>
      textParser({
        samples: fc.constantFrom("pi", "root", "a.b-c").map((only) => onlyLoginReason("admin", only)),
        parse: (text) => parseOnlyLogin(text),
        holds: (only) => /^[A-Za-z0-9_.-]{1,32}$/.test(only),
        words: words("pi", ", so only ", " can log in, not "),
      }),
  },
  {
    name: "LoginGraceTime",
    covers: ["sshnpd/login-limits.ts#parseLoginGraceTime"],
    make: () =>
      textParser({
        samples: fc.nat(999_999_999).map(String),
        parse: (text) => parseLoginGraceTime(text),
        holds: (ms) => ms > 0 && ms <= 3_600_000,
        words: words("120", "0", "2m", "-1"),
      }),
  },
  {
    name: "MaxStartups",
    covers: ["sshnpd/startup-gate.ts#parseMaxStartups"],
    make: () =>
      textParser({
        samples: fc
          .tuple(
            fc.integer({ min: 1, max: 9_999_999 }),
            fc.nat(100),
            fc.integer({ min: 1, max: 9_999_999 }),
            fc.boolean(),
          )
          .map(([start, rate, full, isOne]) => (isOne ? `${start}` : `${start}:${rate}:${full}`)),
        parse: (text) => parseMaxStartups(text),
        holds: ({ start, rate, full }) => start > 0 && rate >= 0 && rate <= 100 && full > 0,
        words: words(":", "10:30:100", "0", "none"),
      }),
  },
  {
    name: "output of sshd -T",
    covers: ["sshnpd/sshd-configuration.ts#parseSshdConfiguration"],
    isTotal: true,
    make: () =>
      textParser({
        samples: fc
          .array(
            fc.tuple(fc.constantFrom("port", "hostkey", "maxstartups"), fc.constantFrom("22", "/etc/a b", "10:30:100")),
          )
          .map((lines) => lines.map(([option, value]) => `${option} ${value}\n`).join("")),
        parse: (text) => parseSshdConfiguration(text),
        holds: (options, text) =>
          [...options].every(([option, values]) => values.every((value) => text.includes(`${option} ${value}`))),
        words: words("port ", "hostkey /etc/", "\n"),
      }),
  },
  {
    name: "output of ssh-keygen -y and dropbearkey -y",
    covers: ["sshnpd/inetd-program.ts#parsePublicHalf"],
    make: () =>
      textParser({
        samples: of.publicKeyLine.map(
          (line) => `Public key portion is:\n${line} root@gateway\nFingerprint: SHA256:x\n`,
        ),
        parse: (text) => parsePublicHalf(text),
        holds: ({ line }, text) => text.includes(line),
        words: words("ssh-ed25519 ", "\n", "Fingerprint: "),
      }),
  },
  {
    name: "authorized_keys",
    mayRefuseSamples: true,
    covers: ["sshnpd/authorized-keys.ts#hasKey"],
    make: () => {
      const key = parsePublicKeyLine(
        `ssh-ed25519 ${base64(Uint8Array.of(0, 0, 0, 11, ...Buffer.from("ssh-ed25519"), 0, 0, 0, 32, ...new Uint8Array(31).fill(9), 1))}`,
      );
      return textParser({
        samples: fc
          .array(fc.oneof(of.publicKeyLine, fc.constant(key.line)), { maxLength: 3 })
          .map((lines) => lines.map((line) => `restrict,command="a \\"b\\"" ${line} pi\n`).join("")),
        parse: (text) => hasKey(text, key.blob),
        // It is there for sshd only when its own text is.
        holds: (_, text) => text.replace(/[^A-Za-z0-9+/\-_=]/g, "").length >= key.blob.length,
        words: words(key.line, "# ", "\n", '"'),
      });
    },
  },
  ...(
    [
      ["text made safe to print", "keys/names.ts#quoted", quoted],
      ["text of an error", "keys/print-error.ts#printable", printable],
      ["word for a shell", "keys/shell-word.ts#shellWord", shellWord],
    ] as const
  ).map(
    ([name, covers, make]): Parser => ({
      name,
      covers: [covers],
      isTotal: true,
      make: () =>
        textParser({
          samples: anyText,
          parse: (text) => ({ safe: make(text) }),
          holds: ({ safe }) => PRINTABLE.test(safe),
        }),
    }),
  ),
];
