import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { utf8 } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { fingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import {
  agentSigner,
  keySigner,
  type OwnerSigner,
  parseOwnerKey,
  type SigningWait,
  signText,
} from "../../keys/owner-signer.ts";
import { SshAgent } from "../../keys/ssh-agent.ts";
import { armor, dearmor, signSshsig, verifySshsig } from "../../keys/sshsig.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { AgentServer } from "../support/agent-server.ts";
import { Authenticator } from "../support/authenticator.ts";
import { runProcess } from "../support/processes.ts";
import { RealAgent, sshAdd } from "../support/ssh-agent.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { sshKeygen, sshKeygenOk } from "./ssh-keygen.ts";

const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
const NAMESPACE = "sshnp-name@v1";
const MESSAGE = utf8('{"v":1,"kind":"name","subject":"@acme"}');
/** Asks and gets no answer. The connections of the agent, which it inherits, are not its own to hold. */
const ASKS = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; touch ~/asked; exec sleep 600";
const WAITS = { keysMs: 20_000, signMs: 20_000 };

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder();
  for (const type of ["ed25519", "rsa", "ecdsa"]) {
    sshKeygenOk(folder.path, ["-q", "-t", type, "-N", "", "-C", `the ${type} key`, "-f", type]);
  }
});
afterAll(() => folder.remove());

describe("the key of a file", () => {
  const key = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(7));

  test("signs what signSshsig does", async () => {
    const signer = keySigner(suite, key);
    const signature = await signer.sign(NAMESPACE, MESSAGE);
    expect(signature).toEqual(signSshsig(suite, key, NAMESPACE, MESSAGE));
    expect(verifySshsig(suite, signature, NAMESPACE, MESSAGE)).toBe(signer.line);
  });

  test("signs a text under its namespace", async () => {
    const signed = await signText(keySigner(suite, key), { text: "ab", namespace: NAMESPACE });
    expect(signed).toEqual({ text: "ab", signature: signSshsig(suite, key, NAMESPACE, utf8("ab")) });
  });
});

describe("a key of the real ssh-agent", () => {
  test("is found among others and signs as ssh-keygen -Y verify accepts it", async () => {
    await using here = await temporaryFolder();
    await using agent = await RealAgent.start(here.path);
    await agent.add("-q", ...["rsa", "ed25519", "ecdsa"].map(inFolder));
    const line = await publicLine("ed25519");
    const waits: SigningWait[] = [];
    const signer = await signerOf(agent, line, waits);
    expect(signer.line).toBe(line);
    await expectAccepted(signer);
    expect(waits).toEqual([]);
  });

  test("is asked for again when it was taken away meanwhile, and its loss is told", async () => {
    await using here = await temporaryFolder();
    await using agent = await RealAgent.start(here.path);
    await agent.add("-q", inFolder("ed25519"), inFolder("rsa"));
    const [line, other] = [await publicLine("ed25519"), await publicLine("rsa")];
    const signer = await signerOf(agent, line);
    await agent.add("-q", "-d", inFolder("ed25519"));
    await expect(signer.sign(NAMESPACE, MESSAGE)).rejects.toMatchObject({
      name: "SetupError",
      code: "E_AGENT",
      message: `The SSH agent does not have the key ${fingerprintOf(line)}.`,
      next: expect.stringContaining(`${fingerprintOf(other)} (ssh-rsa, "the rsa key")`),
    });
    await agent.add("-q", inFolder("ed25519"));
    await expectAccepted(signer);
  });

  test("is not there when there is none, which ssh-add is told to help", async () => {
    await using here = await temporaryFolder();
    await using agent = await RealAgent.start(here.path);
    await expect(signerOf(agent, await publicLine("ed25519"))).rejects.toMatchObject({
      code: "E_AGENT",
      exitStatus: 69,
      message: "The SSH agent has no keys, or is locked.",
      next: expect.stringMatching(/ssh-add -X.*ssh-add FILE/),
    });
  });

  test("is not there while the agent is locked, also if that was done between two signatures", async () => {
    await using here = await temporaryFolder();
    await using agent = await RealAgent.start(here.path);
    await agent.add("-q", inFolder("ed25519"));
    const line = await publicLine("ed25519");
    const signer = await signerOf(agent, line);
    await agent.lock();
    const locked = { code: "E_AGENT", message: "The SSH agent has no keys, or is locked." };
    await expect(signer.sign(NAMESPACE, MESSAGE)).rejects.toMatchObject(locked);
    await expect(signerOf(agent, line)).rejects.toMatchObject(locked);
    await agent.unlock();
    await expectAccepted(signer);
  });

  test.each(["rsa", "ecdsa"])("of type %s is refused, and told what can sign", async (type) => {
    await using here = await temporaryFolder();
    await using agent = await RealAgent.start(here.path);
    await agent.add("-q", inFolder(type));
    const line = await publicLine(type);
    await expect(signerOf(agent, line)).rejects.toMatchObject({
      name: "SetupError",
      code: "E_AGENT",
      message: `${fingerprintOf(line)} is ${line.split(" ")[0]} that cannot be an owner key.`,
      next: expect.stringMatching(/ed25519 .*ed25519-sk .*FIDO2/),
    });
  });

  test.each([
    ["no", "exit 1", "DeniedError"],
    ["yes", "exit 0", undefined],
  ])("that asks before each use signs if the answer is not no: %s", async (_, askpass, refusal) => {
    await using here = await temporaryFolder();
    await using agent = await RealAgent.start(here.path, { askpass });
    await agent.add("-q", "-c", inFolder("ed25519"));
    const signer = await signerOf(agent, await publicLine("ed25519"));
    if (refusal === undefined) return await expectAccepted(signer);
    await expect(signer.sign(NAMESPACE, MESSAGE)).rejects.toMatchObject({
      name: refusal,
      code: "E_AGENT",
      message: "The SSH agent refused to sign.",
    });
  });

  test("that asks is told of while it does, and Ctrl-C is not kept waiting for the answer", async () => {
    await using here = await temporaryFolder();
    await using agent = await RealAgent.start(here.path, { askpass: ASKS });
    await agent.add("-q", "-c", inFolder("ed25519"));
    const line = await publicLine("ed25519");
    const controller = new AbortController();
    const reason = new Error("interrupted");
    const signer = await agentSigner(suite, new SshAgent(suite, agent.socket, WAITS), wantedOf(line), {
      noticeMs: 10,
      signal: controller.signal,
      onWait: (wait) => {
        expect(wait).toBe("answer");
        controller.abort(reason);
      },
    });
    await expect(signer.sign(NAMESPACE, MESSAGE)).rejects.toBe(reason);
    await expect(signer.sign(NAMESPACE, MESSAGE)).rejects.toBe(reason);
  });

  test("is out of reach once the agent was killed, also in the middle of an answer", async () => {
    await using here = await temporaryFolder();
    await using agent = await RealAgent.start(here.path, { askpass: ASKS });
    await agent.add("-q", "-c", inFolder("ed25519"));
    const signer = await signerOf(agent, await publicLine("ed25519"));
    const gone = {
      name: "UnavailableError",
      code: "E_AGENT",
      message: expect.stringMatching(/ended the connection|Cannot reach/),
    };
    const cut = expect(signer.sign(NAMESPACE, MESSAGE)).rejects.toMatchObject(gone);
    await expect.poll(() => existsSync(join(here.path, "asked"))).toBe(true);
    process.kill(agent.process.pid, "SIGKILL");
    await cut;
    await expect(signer.sign(NAMESPACE, MESSAGE)).rejects.toMatchObject(gone);
  });
});

describe("a key on a token", () => {
  test("is listed by the real ssh-add as any other", async () => {
    await using here = await temporaryFolder();
    const token = new Authenticator(randomBytes(32), { comment: "my token" });
    await using agent = await AgentServer.serve(here.path, token.answer);
    const short = await sshAdd(here.path, agent.socket, ["-l"]);
    expect(short).toMatchObject({ code: 0, stdout: `256 ${token.fingerprint} my token (ED25519-SK)\n` });
    expect(await sshAdd(here.path, agent.socket, ["-L"])).toMatchObject({
      code: 0,
      stdout: `${token.line} my token\n`,
    });
  });

  test("signs as ssh-keygen -Y verify accepts it, and each touch is asked for", async () => {
    await using here = await temporaryFolder();
    const token = new Authenticator(randomBytes(32), { application: "ssh:acme" });
    await using agent = await AgentServer.serve(here.path, token.answer);
    const waits: SigningWait[] = [];
    const signer = await signerOf(agent, token.line, waits);
    expect(signer.line).toBe(token.line);
    await expectAccepted(signer);
    await expectAccepted(signer);
    expect(waits).toEqual(["touch", "touch"]);
  });

  test("signs for ssh-keygen -Y sign through the same agent, as this verifier accepts it", async () => {
    await using here = await temporaryFolder();
    const token = new Authenticator(randomBytes(32));
    await using agent = await AgentServer.serve(here.path, token.answer);
    await writeFile(join(here.path, "token.pub"), `${token.line} token\n`);
    await writeFile(join(here.path, "message"), MESSAGE);
    const words = ["-Y", "sign", "-f", "token.pub", "-n", NAMESPACE, "message"];
    const env = { HOME: here.path, SSH_AUTH_SOCK: agent.socket };
    expect(await runProcess("ssh-keygen", words, { env })).toMatchObject({ code: 0 });
    const blob = dearmor(await readFile(join(here.path, "message.sig"), "utf8"));
    expect(verifySshsig(suite, blob, NAMESPACE, MESSAGE)).toBe(token.line);
  });

  test("that nobody touches in time is told to be asked for again", async () => {
    await using here = await temporaryFolder();
    const token = new Authenticator(randomBytes(32));
    token.onTouch = () => new Promise<never>(() => {});
    await using agent = await AgentServer.serve(here.path, token.answer);
    const client = new SshAgent(suite, agent.socket, { keysMs: 20_000, signMs: 50 });
    const signer = await agentSigner(suite, client, wantedOf(token.line), { noticeMs: 0, onWait: () => {} });
    await expect(signer.sign(NAMESPACE, MESSAGE)).rejects.toMatchObject({
      name: "UnavailableError",
      code: "E_AGENT",
      message: expect.stringContaining("has not answered within 0.05 s"),
      next: expect.stringContaining("touch the token"),
    });
    await expect.poll(() => agent.connections).toBe(0);
  });

  test("that refuses is told of", async () => {
    await using here = await temporaryFolder();
    const token = new Authenticator(randomBytes(32));
    token.onTouch = () => false;
    await using agent = await AgentServer.serve(here.path, token.answer);
    const signer = await signerOf(agent, token.line);
    await expect(signer.sign(NAMESPACE, MESSAGE)).rejects.toMatchObject({ name: "DeniedError", code: "E_AGENT" });
  });
});

test.each([
  "",
  "agent:",
  "agent",
  "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
  "agent:SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF",
  "agent:SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
  "agent:SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU\n",
  " agent:SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
  "Agent:SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
  "agent:MD5:d4:1d:8c:d9:8f:00:b2:04:e9:80:09:98:ec:f8:42:7e",
  "file:@acme.owner.npkeys",
  "/home/user/.ssh/id_ed25519",
])("%j names no owner key", (text) => {
  expect(() => parseOwnerKey(text)).toThrow(
    expect.objectContaining({ name: "SetupError", code: "E_USAGE", next: expect.stringContaining("agent:SHA256:") }),
  );
});

test("agent:FINGERPRINT names the key in ssh-agent", () => {
  const text = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
  expect(parseOwnerKey(`agent:${text}`)).toEqual({ fingerprint: text });
});

function inFolder(file: string): string {
  return join(folder.path, file);
}

async function publicLine(file: string): Promise<string> {
  return (await readFile(`${inFolder(file)}.pub`, "utf8")).split(" ").slice(0, 2).join(" ");
}

function fingerprintOf(line: string): string {
  return fingerprint(suite, parsePublicKeyLine(line).blob);
}

function wantedOf(line: string): ReturnType<typeof parseOwnerKey> {
  return parseOwnerKey(`agent:${fingerprintOf(line)}`);
}

function signerOf(agent: { readonly socket: string }, line: string, waits: SigningWait[] = []): Promise<OwnerSigner> {
  const waiting = { noticeMs: 20_000, onWait: (wait: SigningWait) => void waits.push(wait) };
  return agentSigner(suite, new SshAgent(suite, agent.socket, WAITS), wantedOf(line), waiting);
}

/** By the real ssh-keygen and by ours, and not for another message. */
async function expectAccepted(signer: OwnerSigner): Promise<void> {
  await using here = await temporaryFolder();
  const signature = await signer.sign(NAMESPACE, MESSAGE);
  expect(verifySshsig(suite, signature, NAMESPACE, MESSAGE)).toBe(signer.line);
  await writeFile(join(here.path, "signature"), armor(signature));
  await writeFile(join(here.path, "allowed_signers"), `owner@acme ${signer.line}\n`);
  const words = ["-Y", "verify", "-f", "allowed_signers", "-I", "owner@acme", "-n", NAMESPACE, "-s", "signature"];
  expect(sshKeygen(here.path, words, MESSAGE)).toMatchObject({ status: 0 });
  expect(sshKeygen(here.path, words, utf8("another")).status).not.toBe(0);
}
