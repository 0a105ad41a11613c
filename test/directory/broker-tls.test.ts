import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BrokerPlace, connectBroker } from "../../directory/client/broker.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { runCommand, startProcess } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { type Authority, type Certificate, createAuthority } from "../support/x509.ts";
import { patience } from "./world.ts";

let folder: TemporaryFolder;
let authority: Authority;
let stranger: Authority;
let own: Certificate;
let broker: Mosquitto;
let expired: Mosquitto;
let plain: Mosquitto;
beforeAll(async () => {
  folder = await temporaryFolder();
  const elsewhere = join(folder.path, "elsewhere");
  await mkdir(elsewhere);
  [authority, stranger] = await Promise.all([createAuthority(folder.path), createAuthority(elsewhere)]);
  own = await authority.issue("own");
  broker = await startMosquitto({ tls: { ca: authority.ca, ...(await authority.issue("broker")) } });
  expired = await startMosquitto({ tls: { ca: authority.ca, ...(await authority.issue("expired", { days: -1 })) } });
  plain = await startMosquitto();
});
afterAll(async () => {
  for (const each of [broker, expired, plain]) await each[Symbol.asyncDispose]();
  await folder.remove();
});

test("what fails at the TLS of a broker is told as a fact and what to do, in a line without OpenSSL's numbers", async () => {
  const ca = await readFile(authority.ca, "utf8");
  const certificate = await read(own);
  expect(await failure({ url: broker.url, ca, certificate })).toBeUndefined();
  const cases: readonly (readonly [Parameters<typeof failure>[0], RegExp, RegExp])[] = [
    [{ url: broker.url, certificate }, /whoever vouches for its certificate is not known here/, /--mqtt-ca FILE/],
    [
      { url: broker.url, ca: await readFile(stranger.ca, "utf8"), certificate },
      /whoever vouches for its certificate is not known here/,
      /--mqtt-ca names another authority/,
    ],
    [
      { url: broker.url.replace("127.0.0.1", "localhost"), ca, certificate },
      /its certificate is for another host than localhost/,
      /Name it in --mqtt as its certificate does/,
    ],
    [{ url: expired.url, ca, certificate }, /its certificate has expired/, /Renew it at the broker/],
    [
      { url: broker.url, ca },
      /it wants a certificate of this end, and none is given|has closed the connection|ECONNRESET|EPIPE/,
      /--mqtt-cert FILE --mqtt-key FILE/,
    ],
    [
      { url: broker.url, ca, certificate: await read(await stranger.issue("own")) },
      /it does not take the certificate of --mqtt-cert \([a-z ]+\)|has closed the connection|ECONNRESET|EPIPE/,
      /openssl x509 -in FILE -noout -issuer -dates/,
    ],
    [
      { url: broker.url, ca, certificate: await read(await authority.issue("late", { days: -1 })) },
      /it does not take the certificate of --mqtt-cert \([a-z ]+\)|has closed the connection|ECONNRESET|EPIPE/,
      /openssl x509 -in FILE -noout -issuer -dates/,
    ],
    [
      { url: plain.url.replace("mqtt:", "mqtts:"), ca, certificate },
      /cannot be used: it has closed the connection without a word of TLS\.$/,
      /^Give the port at which the broker speaks TLS/,
    ],
  ];
  for (const row of cases) await expectFailure(...row);
});

test("a broker that refuses a certificate within the handshake, or does not speak TLS, is understood", async () => {
  const ca = await readFile(authority.ca, "utf8");
  const vouched = await authority.issue("of-tls-1.2");
  // OpenSSL's own server sends the alert before it closes, and in TLS 1.2 the client still waits for it.
  const words = ["-tls1_2", "-Verify", "1", "-verify_return_error", "-CAfile", authority.ca];
  const files = ["-cert", vouched.cert, "-key", vouched.key];
  await using server = startProcess("openssl", ["s_server", "-accept", "127.0.0.1:0", ...words, ...files], {
    env: { HOME: folder.path },
  });
  const [, port = ""] = await server.line(/^ACCEPT 127\.0\.0\.1:(\d+)$/);
  const url = `mqtts://127.0.0.1:${port}`;
  const dates =
    /^See who issued the certificate .* openssl x509 -in FILE -noout -issuer -dates\. The broker's log says more\.$/;
  await expectFailure(
    { url, ca },
    /it wants a certificate of this end, and none is given\.$/,
    /^Give one .*--mqtt-cert/,
  );
  const ofStranger = await read(await stranger.issue("alien"));
  await expectFailure(
    { url, ca, certificate: ofStranger },
    /not take the certificate of --mqtt-cert \(unknown ca\)/,
    dates,
  );
  const late = await read(await authority.issue("too-late", { days: -1 }));
  await expectFailure({ url, ca, certificate: late }, /of --mqtt-cert \(certificate expired\)/, dates);

  await using web = createServer((_request, answer) => void answer.end());
  await once(web.listen(0, "127.0.0.1"), "listening");
  const at = `mqtts://127.0.0.1:${(web.address() as AddressInfo).port}`;
  await expectFailure({ url: at, ca }, /what answers at that port does not speak TLS/, /^Give the port at which/);
});

test("options of a broker that do not go together are refused at the start, by both commands; files that cannot serve by the directory", async () => {
  const text = join(import.meta.dirname, "../../package.json");
  const { cert, key } = own;
  const other = await authority.issue("another");
  const cut = join(folder.path, "cut.pem");
  await writeFile(cut, (await readFile(authority.ca, "utf8")) + (await readFile(stranger.ca, "utf8")).slice(0, 300));
  const files: readonly (readonly [readonly string[], string])[] = [
    [["--mqtt-cert", "/nonexistent/a.pem", "--mqtt-key", key], "Cannot read /nonexistent/a.pem"],
    [["--mqtt-cert", text, "--mqtt-key", key], "is no certificate in PEM"],
    [["--mqtt-cert", cert, "--mqtt-key", text], "is no private key in PEM"],
    [["--mqtt-cert", cert, "--mqtt-key", other.key], "--mqtt-key is not the key of --mqtt-cert"],
    [["--mqtt-ca", text], "package.json is no certificate in PEM"],
    [["--mqtt-ca", key], "is no certificate in PEM"],
    [["--mqtt-ca", cut], "cut.pem is no certificate in PEM"],
  ];
  const data = join(folder.path, "np");
  const env = { HOME: folder.path };
  const ofDirectory = ["sshnp-directory", ["run", "--data", data, "--listen", "127.0.0.1:0"]] as const;
  const commands = [["sshnpd", ["-a", "@device", "-d", "mygateway"]], ofDirectory] as const;
  const refused = async (command: (typeof commands)[number], words: readonly string[], told: string): Promise<void> => {
    const exit = await runCommand(command[0], [...command[1], ...words], { env });
    expect(exit).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(told) });
    expect(exit.stderr).toContain("[E_USAGE]");
  };
  for (const [words, told] of files) await refused(ofDirectory, ["--mqtt", broker.url, ...words], told);
  const options: readonly (readonly [readonly string[], string])[] = [
    [["--mqtt", broker.url, "--mqtt-cert", cert], "--mqtt-cert and --mqtt-key go together"],
    [["--mqtt", broker.url, "--mqtt-key", key], "--mqtt-cert and --mqtt-key go together"],
    [["--mqtt-ca", authority.ca], "--mqtt-ca is given, but no broker"],
    [["--mqtt-no-verify"], "--mqtt-no-verify is given, but no broker"],
  ];
  for (const [words, told] of options) await Promise.all(commands.map((command) => refused(command, words, told)));
});

async function read({ cert, key }: Certificate): Promise<{ cert: string; key: string }> {
  return { cert: await readFile(cert, "utf8"), key: await readFile(key, "utf8") };
}

async function expectFailure(place: Parameters<typeof failure>[0], message: RegExp, next: RegExp): Promise<void> {
  const error = await failure(place);
  expect(error).toMatchObject({
    ...{ code: "E_DIRECTORY", message: expect.stringMatching(message), next: expect.stringMatching(next) },
  });
  expect(String(error)).not.toMatch(/[0-9A-F]{8}:error|\n|SSL alert number/);
}

/** Why a client does not come in there, if it does not. */
async function failure({ url, ...place }: Omit<BrokerPlace, "url"> & { readonly url: string }): Promise<unknown> {
  try {
    const connection = await connectBroker({
      ...{ place: { ...place, url: new URL(url) }, clientId: "own", topics: ["sshnp/d/own"] },
      ...{ keepaliveSeconds: 60, limitMs: 20_000, signal: patience(), onMessage: () => {} },
    });
    connection.close();
    return undefined;
  } catch (error) {
    return error;
  }
}
