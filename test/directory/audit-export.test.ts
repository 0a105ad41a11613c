import { once } from "node:events";
import { readFile, rename, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AUDIT_EVENTS } from "../../directory/audit/events.ts";
import { parseReceiver } from "../../directory/audit/receiver.ts";
import { commandFile, type Exit, type RunningProcess, runProcess, startCommand } from "../support/processes.ts";
import { startRsyslog } from "../support/rsyslog.ts";
import { createAuthority } from "../support/x509.ts";
import { AuditScene } from "./audit-scene.ts";

let scene: AuditScene;
let lines: string[];
beforeAll(async () => {
  scene = await AuditScene.start();
  await scene.activated("@acme");
  await scene.command("audit", "anchor", "--data", scene.data);
  lines = await scene.lines();
});
afterAll(() => scene[Symbol.asyncDispose]());

const text = (of: readonly string[]): string => of.map((line) => `${line}\n`).join("");
const follow = (...words: string[]): RunningProcess =>
  startCommand("sshnp-directory", ["audit", "export", "--data", scene.data, "--follow", ...words], {
    env: { HOME: scene.home.path },
  });

test("the lines come as they are, and what comes so can be verified", async () => {
  const all = await scene.audit("export");
  expect([all.code, all.stdout]).toEqual([0, text(lines)]);
  const [, size = ""] = /--log-size (\d+)/.exec(all.stderr) ?? [];
  const file = join(scene.home.path, "exported.ndjson");
  await writeFile(file, all.stdout);
  expect((await scene.audit("verify", file, "--log-size", size)).code).toBe(0);
  const words = ["audit", "verify", "-", "--data", scene.data];
  const piped = startCommand("sshnp-directory", words, { env: { HOME: scene.home.path } });
  piped.stdin.end(all.stdout);
  expect((await piped.exit()).code).toBe(0);
  expect((await scene.audit("export", file, file)).stdout).toBe(text([...lines, ...lines]));
});

test("--event, --since and --until choose, and what they do not understand is said", async () => {
  const chosen = await scene.audit("export", "--event", "started", "--event", "anchored");
  expect(chosen.stdout).toBe(text(lines.filter((line) => /"event":"(?:started|anchored)"/.test(line))));
  const times = lines.map((line) => (JSON.parse(line) as { time: string }).time);
  const middle = times[2] ?? "";
  const since = await scene.audit("export", "--since", middle);
  expect(since.stdout).toBe(text(lines.filter((_, at) => (times[at] ?? "") >= middle)));
  expect((await scene.audit("export", "--until", middle)).stdout).toBe(
    text(lines.filter((_, at) => (times[at] ?? "") < middle)),
  );
  expect((await scene.audit("export", "--since", "7d", "--until", "1m")).stdout).toBe("");
  expect(await scene.audit("export", "--since", "24h", "--event", "session")).toMatchObject({ code: 0, stdout: "" });
  for (const words of [
    ["--since", "yesterday"],
    ["--until", "2026-13-01"],
    ["--format", "cef"],
    ["--to", "udp://127.0.0.1:514"],
    ["--to", "tcp://127.0.0.1:1", "--format", "ndjson"],
    ["--to", "tcp://127.0.0.1:1", "--to-ca", scene.file],
    ["--cursor-file", scene.file],
    ["--follow", scene.file],
    ["--event", "sesion"],
    ["--event", "session", "--event", "\u001b[2J"],
  ]) {
    const refused = await scene.audit("export", ...words);
    expect([words, refused.code, refused.stdout]).toEqual([words, 2, ""]);
    expect(refused.stderr).toContain("[E_USAGE]");
    expect(refused.stderr).not.toMatch(/[^\n -~]/);
  }
  const mistyped = await scene.audit("export", "--event", "sesion");
  expect(mistyped.stderr).toContain('"sesion" is no event of the audit. Did you mean "session"?');
  expect(mistyped.stderr).toContain("begun, started, session, link up,");
  const document = await readFile(join(import.meta.dirname, "../../docs/audit.md"), "utf8");
  const listed = document.slice(document.indexOf("Events: "), document.indexOf("Fields may be added"));
  for (const event of AUDIT_EVENTS) expect(listed).toContain(`\`${event}\``);
});

test("--follow goes on with what is written, over rotation, until its end, at every line's own end", async () => {
  await using following = follow();
  await following.line(/"event":"anchored"/);
  await rename(scene.file, `${scene.file}.1`);
  await scene.command("name", "add", "@rotated", "--data", scene.data);
  await expect
    .poll(async () => {
      await scene.command("name", "add", "@later", "--data", scene.data);
      return await readFile(scene.file, "utf8").catch(() => "");
    })
    .toContain("@later");
  await following.line(/"@later"/);
  await scene.command("name", "add", "@last", "--data", scene.data);
  await following.line(/"@last"/);
  const ended = await following.kill("SIGTERM");
  expect(ended.code).toBe(0);
  expect(ended.stdout).toBe((await readFile(`${scene.file}.1`, "utf8")) + text(await scene.lines()));
  expect(ended.stdout).toContain("@rotated");
});

test("rsyslog takes what is sent, understands it, and what it keeps can be verified", async () => {
  const cursor = join(scene.home.path, "cursor");
  const old = `${scene.file}.1`;
  const before = (await readFile(old, "utf8").catch(() => "")) + text(await scene.lines());
  await using receiver = await startRsyslog();
  const to = `tcp://127.0.0.1:${receiver.port}`;
  expect(await scene.audit("export", `${old}.none`, "--to", to)).toMatchObject({ code: 2, stdout: "" });
  expect(await scene.audit("export", old, "--to", to, "--cursor-file", cursor)).toMatchObject({ code: 0, stdout: "" });
  await using following = follow("--to", to, "--cursor-file", cursor);
  const awaited = async (end: string): Promise<string> => {
    await expect
      .poll(async () => (await receiver.received()).map(({ msg }) => `${msg.trimStart()}\n`).join(""), {
        timeout: 20_000,
      })
      .toContain(end);
    return (await receiver.received()).map(({ msg }) => `${msg.trimStart()}\n`).join("");
  };
  expect(await awaited('"@last"')).toBe(before);
  await scene.command("name", "add", "@received", "--data", scene.data);
  const sent = await awaited('"@received"');
  await expect
    .poll(() => readFile(cursor, "utf8"))
    .toMatch(new RegExp(`^[0-9a-f]{16} ${sent.split("\n").length - 1}\n$`));
  await following.kill("SIGTERM");
  const messages = await receiver.received();
  const activation = messages.find(({ msgid }) => msgid === "activation");
  expect(activation).toMatchObject({ "app-name": "sshnp-directory", pri: "110" });
  const { n, time, directory } = JSON.parse(activation?.msg ?? "") as { n: number; time: string; directory: string };
  expect(Date.parse(activation?.timereported ?? "")).toBe(Date.parse(time));
  expect(activation?.["structured-data"]).toContain(
    `[meta sequenceId="${n}"][sshnp@32473 n="${n}" directory="${directory}"`,
  );
  expect(activation?.["structured-data"]).toContain('subjects="[\\"@acme\\",\\"@acme/laptop\\"\\]"');
  const file = join(scene.home.path, "received.ndjson");
  await writeFile(file, sent);
  expect((await scene.audit("verify", file)).code).toBe(0);
  // The next one goes on after the cursor, and sends nothing twice.
  await scene.command("name", "add", "@after", "--data", scene.data);
  await scene.audit("export", "--to", to, "--cursor-file", cursor);
  expect(await awaited('"@after"')).toBe(sent + text((await scene.lines()).slice(-1)));
});

test("a receiver that is not there, goes away, or has a false certificate ends it with the reason", async () => {
  const gone = await startRsyslog();
  const to = `tcp://127.0.0.1:${gone.port}`;
  await using following = follow("--to", to);
  await expect.poll(async () => (await gone.received()).length).toBeGreaterThan(0);
  await gone[Symbol.asyncDispose]();
  const ended = await following.exit();
  expect([ended.code, ended.stderr]).toEqual([69, expect.stringContaining("[E_UNREACHABLE]")]);
  const refused = await scene.audit("export", "--to", to);
  expect([refused.code, refused.stderr]).toEqual([69, expect.stringContaining("cannot be reached")]);
});

test("tls:// demands a certificate that somebody vouches for", async () => {
  const authority = await createAuthority(scene.home.path);
  const { cert, key } = await authority.issue("receiver");
  const chunks: string[] = [];
  const server = createTlsServer({ cert: await readFile(cert), key: await readFile(key) }, (socket) => {
    socket.on("data", (chunk) => chunks.push(chunk.toString()));
  });
  server.on("tlsClientError", () => {});
  await once(server.listen(0, "127.0.0.1"), "listening");
  try {
    const to = `tls://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect((await scene.audit("export", "--to", to)).stderr).toContain("[E_UNREACHABLE]");
    expect(chunks).toEqual([]);
    expect((await scene.audit("export", "--to", to, "--to-ca", authority.ca)).code).toBe(0);
    await expect.poll(() => chunks.join("")).toMatch(/^\d+ <110>1 .*@/s);
    expect(octets(chunks.join(""))).toHaveLength((await scene.lines()).length);
  } finally {
    server.close();
  }
});

test("syslog goes to standard output for whoever sends it himself", async () => {
  const printed = await scene.audit("export", "--format", "syslog");
  expect(printed.stdout.trimEnd().split("\n")).toHaveLength((await scene.lines()).length);
  for (const line of printed.stdout.trimEnd().split("\n")) {
    expect(line).toMatch(
      /^<1\d\d>1 \d{4}-\S+Z \S+ sshnp-directory - [a-z-]+ \[meta sequenceId="\d+"\]\[sshnp@32473 .*\] \{.*\}$/,
    );
  }
});

test("what somebody has put into the file shows nothing but itself on a terminal", async () => {
  const file = join(scene.home.path, "strange.ndjson");
  await writeFile(file, `${lines[0]}\n\u001b[2Jgone\r\n{"n":1,"event":"\u009b31m"}\n${lines[1]}\n`);
  const printed = await scene.audit("export", file);
  expect(printed.stdout).toBe(text(lines.slice(0, 2)));
  expect(printed.stderr).toMatch(/^2 lines are none of an audit .*strange\.ndjson:2/);
  const found = await scene.audit("verify", file);
  expect([found.code, found.stderr]).toEqual([76, expect.not.stringMatching(/[^\n -~]/)]);
});

test("a reader that goes away is no failure", async () => {
  const command = `'${process.execPath}' '${commandFile("sshnp-directory")}' audit export --data '${scene.data}' | head -n 1`;
  const ended: Exit = await runProcess("sh", ["-c", command], { env: { HOME: scene.home.path } });
  expect([ended.code, ended.stderr]).toEqual([0, expect.not.stringMatching(/E_|Error/)]);
});

test("where syslog can be sent", () => {
  expect(parseReceiver("tcp://[::1]:514")).toMatchObject({ host: "::1", port: 514, isSecure: false });
  expect(parseReceiver("tls://logs.example.org")).toMatchObject({
    host: "logs.example.org",
    port: 6514,
    isSecure: true,
  });
  for (const wrong of ["tcp://host", "tcp://host:0", "tcp://host:65536", "host:514", "tcp://h o:1", "tls://u@h:1"]) {
    expect(() => parseReceiver(wrong)).toThrow(expect.objectContaining({ code: "E_USAGE" }));
  }
});

/** The messages of octet counting. */
function octets(stream: string): string[] {
  const messages: string[] = [];
  for (let rest = Buffer.from(stream); rest.length > 0; ) {
    const [, length = "0"] = /^(\d+) /.exec(rest.subarray(0, 12).toString()) ?? [];
    const begin = length.length + 1;
    messages.push(rest.subarray(begin, begin + Number(length)).toString());
    rest = rest.subarray(begin + Number(length));
  }
  return messages;
}
