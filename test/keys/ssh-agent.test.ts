import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { utf8 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { parsePublicKeyBlob, parsePublicKeyLine } from "../../keys/openssh.ts";
import { agentSigner, parseOwnerKey } from "../../keys/owner-signer.ts";
import { SshAgent } from "../../keys/ssh-agent.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { type AgentHandler, AgentServer, withLength } from "../support/agent-server.ts";
import { Authenticator } from "../support/authenticator.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
const WAITS = { keysMs: 20_000, signMs: 20_000 };
const DATA = utf8("what is to be signed");
const MAX_ANSWER_BYTES = 256 * 1024; // OpenSSH's

const token = new Authenticator(randomBytes(32));
const key = parsePublicKeyLine(token.line);

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

describe("an agent that is not there", () => {
  test.each([[{}], [{ SSH_AUTH_SOCK: "" }], [{ SSH_AUTH_SOCK: undefined }]])(
    "is not looked for without SSH_AUTH_SOCK: %j",
    (environment) => {
      expect(() => SshAgent.fromEnvironment(suite, environment, WAITS)).toThrow(
        expect.objectContaining({
          name: "SetupError",
          code: "E_AGENT",
          exitStatus: 69,
          message: expect.stringContaining("SSH_AUTH_SOCK is not set"),
          next: expect.stringContaining("ssh-add FILE"),
        }),
      );
    },
  );

  test("is told of with the reason", async () => {
    const nobody = join(folder.path, "nobody");
    const file = join(folder.path, "file");
    writeFileSync(file, "");
    const paths = [
      [nobody, "ENOENT"],
      [file, "ECONNREFUSED"],
      [folder.path, "ECONNREFUSED"],
      [`/tmp/${"n".repeat(300)}`, "E"],
    ] as const;
    for (const [path, reason] of paths) {
      const agent = SshAgent.fromEnvironment(suite, { SSH_AUTH_SOCK: path }, WAITS);
      const unreachable = {
        name: "UnavailableError",
        code: "E_AGENT",
        message: expect.stringContaining(`Cannot reach the SSH agent at ${path} (${reason}`),
        next: expect.stringContaining("SSH_AUTH_SOCK"),
      };
      await expect(agent.keys(), path).rejects.toMatchObject(unreachable);
      await expect(agent.sign(key, DATA), path).rejects.toMatchObject(unreachable);
    }
  });
});

describe("an agent that is silent", () => {
  const silent = (connection: Socket): void => void connection.resume();

  test("is given up after the time that it has, and left in peace", async () => {
    await using here = await temporaryFolder();
    await using server = await AgentServer.listen(here.path, silent);
    const agent = new SshAgent(suite, server.socket, { keysMs: 30, signMs: 40 });
    const late = (seconds: string): object => ({
      name: "UnavailableError",
      code: "E_AGENT",
      message: `The SSH agent at ${server.socket} has not answered within ${seconds} s.`,
    });
    await expect(agent.keys()).rejects.toMatchObject(late("0.03"));
    await expect(agent.sign(key, DATA)).rejects.toMatchObject(late("0.04"));
    await expect.poll(() => server.connections).toBe(0);
  });

  test("or speaks a byte now and then, has no more time for that", async () => {
    await using here = await temporaryFolder();
    await using server = await AgentServer.listen(here.path, (connection) => {
      connection.resume().write(Buffer.of(0, 0, 0xff, 0xff));
      const drip = setInterval(() => connection.write("."), 5);
      connection.on("close", () => clearInterval(drip));
    });
    const agent = new SshAgent(suite, server.socket, { keysMs: 100, signMs: 100 });
    await expect(agent.keys()).rejects.toMatchObject({ code: "E_AGENT", message: expect.stringContaining("0.1 s") });
    await expect.poll(() => server.connections).toBe(0);
  });

  test("does not hold up an interruption", async () => {
    await using here = await temporaryFolder();
    const controller = new AbortController();
    const reason = new Error("interrupted");
    await using server = await AgentServer.listen(here.path, () => controller.abort(reason));
    const agent = new SshAgent(suite, server.socket, WAITS);
    const { signal } = controller;
    await expect(agent.keys({ signal })).rejects.toBe(reason);
    await expect(agent.keys({ signal })).rejects.toBe(reason);
    await expect(agent.sign(key, DATA, { signal })).rejects.toBe(reason);
    await expect.poll(() => server.connections).toBe(0);
  });
});

const KEYS = Buffer.concat([Buffer.of(12, 0, 0, 0, 1), withLength(token.blob), withLength("token")]);
const SIGNATURE = Buffer.concat([Buffer.of(14), withLength(token.sign(DATA))]);

describe("an agent whose answers", () => {
  const REFUSED: readonly [string, Buffer][] = [
    ["are text", Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")],
    ["are empty", withLength("")],
    ["are announced as longer than 256 KiB", lengthOnly(MAX_ANSWER_BYTES + 1)],
    ["are announced as 4 GiB", lengthOnly(0xffffffff)],
    ["are of an unknown type", withLength(Buffer.of(6))],
    ["are requests", withLength(Buffer.of(11))],
    ["hold fewer keys than they say", withLength(Buffer.of(12, 0, 0, 0, 2, ...KEYS.subarray(5)))],
    ["hold more keys than they say", withLength(Buffer.of(12, 0, 0, 0, 0, ...KEYS.subarray(5)))],
    ["say 4 billion keys", withLength(Buffer.of(12, 255, 255, 255, 255))],
    [
      "say more keys than any agent has",
      withLength(Buffer.concat([Buffer.of(12, 0, 0, 8, 1), Buffer.alloc(8 * 2049)])),
    ],
    ["have a key longer than themselves", withLength(Buffer.of(12, 0, 0, 0, 1, 0, 0, 255, 255))],
    ["are followed by others", Buffer.concat([withLength(KEYS), withLength(KEYS)])],
    ["have bytes behind a failure", withLength(Buffer.of(5, 0))],
    ["have bytes behind a signature", withLength(Buffer.concat([SIGNATURE, Buffer.of(0)]))],
    ["have half a signature", withLength(SIGNATURE.subarray(0, 40))],
  ];
  test.each(REFUSED)("%s is taken for none", async (_, bytes) => {
    await using here = await temporaryFolder();
    await using server = await AgentServer.listen(here.path, (connection) => connection.resume().write(bytes));
    const agent = new SshAgent(suite, server.socket, WAITS);
    const none = { name: "PeerError", code: "E_AGENT", message: `What answers at ${server.socket} is no SSH agent.` };
    await expect(agent.keys()).rejects.toMatchObject(none);
    await expect(agent.sign(key, DATA)).rejects.toMatchObject(none);
    await expect.poll(() => server.connections).toBe(0);
  });

  test("are to other questions is taken for none", async () => {
    await using here = await temporaryFolder();
    await using server = await AgentServer.serve(here.path, (request) => (request[0] === 11 ? SIGNATURE : KEYS));
    const agent = new SshAgent(suite, server.socket, WAITS);
    await expect(agent.keys()).rejects.toMatchObject({ name: "PeerError", code: "E_AGENT" });
    await expect(agent.sign(key, DATA)).rejects.toMatchObject({ name: "PeerError", code: "E_AGENT" });
  });

  test("are missing, as it hangs up, is told of so", async () => {
    await using here = await temporaryFolder();
    await using server = await AgentServer.listen(here.path, (connection) => connection.resume().end(Buffer.of(0, 0)));
    const agent = new SshAgent(suite, server.socket, WAITS);
    await expect(agent.keys()).rejects.toMatchObject({
      name: "UnavailableError",
      code: "E_AGENT",
      message: `The SSH agent at ${server.socket} ended the connection instead of an answer.`,
    });
  });

  test("come byte by byte, and as long as they may be, is understood", async () => {
    await using here = await temporaryFolder();
    const keys = Array.from({ length: 2048 }, () => Buffer.concat([withLength(randomBytes(40)), withLength("")]));
    const full = Buffer.concat([Buffer.of(12, 0, 0, 8, 0), ...keys]);
    const padded = Buffer.concat([
      Buffer.of(12, 0, 0, 0, 1),
      withLength(Buffer.alloc(MAX_ANSWER_BYTES - 13)),
      withLength(""),
    ]);
    expect(padded).toHaveLength(MAX_ANSWER_BYTES);
    const answers = [full, padded];
    await using server = await AgentServer.listen(here.path, (connection) => {
      const answer = withLength(answers.shift() ?? "");
      connection.setNoDelay().resume();
      for (const byte of answer.subarray(0, 9)) connection.write(Buffer.of(byte));
      connection.write(answer.subarray(9));
    });
    const agent = new SshAgent(suite, server.socket, WAITS);
    expect(await agent.keys()).toHaveLength(2048);
    expect(await agent.keys()).toHaveLength(1);
  });
});

describe("a signature that an agent gives", () => {
  const other = new Authenticator(randomBytes(32));
  const CHANGES: readonly [string, (data: Buffer) => Buffer][] = [
    ["another key's", (data) => other.sign(data)],
    ["over something else", () => token.sign(utf8("something else"))],
    ["for another application", (data) => token.sign(data, { application: "ssh:other" })],
    ["without a touch", (data) => token.sign(data, { flags: 0 })],
    ["without a touch, but with the PIN", (data) => token.sign(data, { flags: 0x04 })],
    ["with its counter changed", (data) => flipped(token.sign(data), -1)],
    ["with its flags changed", (data) => flipped(token.sign(data), -5)],
    ["with a byte behind it", (data) => Buffer.concat([token.sign(data), Buffer.of(0)])],
    ["cut off", (data) => token.sign(data).subarray(0, -1)],
    [
      "of the algorithm ssh-ed25519",
      (data) => Buffer.concat([withLength("ssh-ed25519"), token.sign(data).subarray(30, 98)]),
    ],
    ["empty", () => Buffer.alloc(0)],
  ];
  test.each(CHANGES)("%s is not passed on", async (_, change) => {
    await expectNotPassedOn(suite, (data) => change(data));
  });

  test("is passed on with whatever else the token says of itself", async () => {
    for (const flags of [0x01, 0x05, 0x41, 0xc5, 0xff]) {
      await using here = await temporaryFolder();
      const sign = (data: Buffer): Buffer => token.sign(data, { flags, counter: 0xffffffff });
      await using server = await AgentServer.serve(here.path, answering(sign));
      const signature = await new SshAgent(suite, server.socket, WAITS).sign(key, DATA);
      expect(signature.subarray(-5)).toEqual(new Uint8Array([flags, 255, 255, 255, 255]));
    }
  });

  test.each<[string, () => unknown]>([
    ["gives an Error instead of throwing it, as ssh2's verify() does", () => new Error("no")],
    ["gives 1", () => 1],
    ["gives a promise of true", () => Promise.resolve(true)],
    [
      "throws, out of memory say (CVE-2025-26465)",
      () => {
        throw new RangeError("Array buffer allocation failed");
      },
    ],
  ])("is not passed on when the verifier %s", async (_, verdict) => {
    const strange = Object.assign(Object.create(suite), { verify: verdict }) as CipherSuite;
    await expectNotPassedOn(strange, (data) => token.sign(data));
  });

  test("is never by a key that another agent has, whatever it lists", async () => {
    await using here = await temporaryFolder();
    const impostor: AgentHandler = (request) => (request[0] === 11 ? KEYS : other.answer(request));
    await using server = await AgentServer.serve(here.path, impostor);
    const waiting = { noticeMs: 20_000, onWait: () => {} };
    const agent = new SshAgent(suite, server.socket, WAITS);
    const signer = await agentSigner(suite, agent, parseOwnerKey(`agent:${token.fingerprint}`), waiting);
    await expect(signer.sign("sshnp-name@v1", DATA)).rejects.toMatchObject({ code: "E_AGENT" });
  });
});

describe("the keys of an agent", () => {
  test.each([
    [
      "an unsafe one of small order",
      Buffer.concat(["ssh-ed25519", Buffer.of(1, ...Buffer.alloc(31))].map(withLength)),
      "ssh-ed25519",
    ],
    [
      "a certificate",
      Buffer.concat(["ssh-ed25519-cert-v01@openssh.com", randomBytes(40)].map(withLength)),
      "ssh-ed25519-cert-v01@openssh.com",
    ],
    ["one that no terminal should see", withLength("\u001b]0;x\u0007"), "a key"],
    ["nothing at all", Buffer.alloc(0), "a key"],
  ])("may hold %s, which is listed safely and does not sign", async (_, blob, type) => {
    await using here = await temporaryFolder();
    const entries = [blob, "\u001b[2Jcomment \u202e", token.blob, "token"].map(withLength);
    const keys = Buffer.concat([Buffer.of(12, 0, 0, 0, 2), ...entries]);
    await using server = await AgentServer.serve(here.path, (request) =>
      request[0] === 11 ? keys : token.answer(request),
    );
    const agent = new SshAgent(suite, server.socket, WAITS);
    const waiting = { noticeMs: 20_000, onWait: () => {} };
    const [strange] = await agent.keys();
    const fingerprint = `SHA256:${Buffer.from(suite.sha256(strange?.blob ?? DATA))
      .toString("base64")
      .slice(0, -1)}`;
    await expect(agentSigner(suite, agent, parseOwnerKey(`agent:${fingerprint}`), waiting)).rejects.toMatchObject({
      code: "E_AGENT",
      message: `${fingerprint} is ${type} that cannot be an owner key.`,
    });
    const missing = parseOwnerKey(`agent:${otherFingerprint()}`);
    const error: unknown = await agentSigner(suite, agent, missing, waiting).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "E_AGENT", next: expect.stringMatching(/^[ -~]+$/) });
    expect(error).toMatchObject({ next: expect.stringContaining(`${fingerprint} (`) });
    expect((await agentSigner(suite, agent, parseOwnerKey(`agent:${token.fingerprint}`), waiting)).line).toBe(
      token.line,
    );
  });

  test("are told in a message as far as they fit on a screen", async () => {
    await using here = await temporaryFolder();
    const entries = Array.from({ length: 40 }, () => [randomBytes(40), "x".repeat(3000)].map(withLength)).flat();
    const keys = Buffer.concat([Buffer.of(12, 0, 0, 0, 40), ...entries]);
    await using server = await AgentServer.serve(here.path, () => keys);
    const agent = new SshAgent(suite, server.socket, WAITS);
    const waiting = { noticeMs: 20_000, onWait: () => {} };
    const error: unknown = await agentSigner(suite, agent, parseOwnerKey(`agent:${otherFingerprint()}`), waiting).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ next: expect.stringMatching(/^.{0,1500}, 34 others\.$/) });
  });
});

/** A fingerprint of nothing. */
function otherFingerprint(): string {
  return `SHA256:${"A".repeat(43)}`;
}

function lengthOnly(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}

function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  const index = bytes.length + at;
  changed[index] = (changed[index] ?? 0) ^ 0x02;
  return changed;
}

/** An agent that signs so. */
function answering(sign: (data: Buffer) => Buffer): AgentHandler {
  return (request) => {
    const keyLength = request.readUInt32BE(1);
    const data = request.subarray(9 + keyLength, request.length - 4);
    return Buffer.concat([Buffer.of(14), withLength(sign(data))]);
  };
}

async function expectNotPassedOn(verifier: CipherSuite, sign: (data: Buffer) => Buffer): Promise<void> {
  await using here = await temporaryFolder();
  await using server = await AgentServer.serve(here.path, answering(sign));
  const agent = new SshAgent(verifier, server.socket, WAITS);
  await expect(agent.sign(parsePublicKeyBlob(token.blob), DATA)).rejects.toMatchObject({
    name: "SecurityError",
    code: "E_AGENT",
    message: "The SSH agent gave a signature that is not that key's.",
    next: expect.stringContaining(server.socket),
  });
}
