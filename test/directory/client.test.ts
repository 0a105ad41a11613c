import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { UnavailableError } from "../../keys/errors.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { DirectoryClient, openLink } from "../../directory/client.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { type KeyList, signKeyList } from "../../protocol/key-list.ts";
import { encodeActivationStart } from "../../protocol/messages/activation.ts";
import { encodeSignedText } from "../../protocol/messages/link.ts";
import { encodeFrame, type Frame } from "../../protocol/messages/response-frames.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { encodeKeyListResponse, ResponseSealer } from "../../protocol/response.ts";
import { openMessage } from "../../protocol/sealed-message.ts";
import { freePort } from "../support/free-port.ts";
import { SELF_SIGNED } from "./certificate.ts";
import { rest, send, TestLink } from "./streams.ts";
import { activate, newPerson, patience, random, sessionMessage, suite, World, NO_POLICY } from "./world.ts";

const sender = X25519PrivateKey.generate(suite, random);
const question = { type: REQUEST.activationStart, body: encodeActivationStart(parseName("@acme")) };
const welcome: Frame = { type: "welcome", time: Date.now(), nonce: random(16), keyListSeq: 1 };

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

test("a directory that is not there is said to be unreachable, with the reason", async () => {
  const { port } = await serve(() => {});
  servers.splice(0)[0]?.close();
  const client = newClient(port);
  const attempt = client.request(sender, question, { signal: patience() });
  await expect(attempt).rejects.toMatchObject({
    code: "E_DIRECTORY",
    message: expect.stringContaining("ECONNREFUSED"),
  });
  await expect(link(client)).rejects.toMatchObject({ code: "E_DIRECTORY" });
});

test("whatever answers in the place of a directory is told from one", async () => {
  const statuses = [
    [404, "E_DIRECTORY"],
    [500, "E_DIRECTORY"],
    [301, "E_DIRECTORY"],
    [429, "E_RATE"],
    [503, "E_BUSY"],
  ] as const;
  for (const [status, code] of statuses) {
    const { port } = await serve((_request, response) => response.writeHead(status, { "retry-after": "7" }).end("no"));
    const client = newClient(port);
    await expect(client.request(sender, question, { signal: patience() })).rejects.toMatchObject({ code });
    const known = newClient(port, { keyList: fakeDirectory().verified });
    await expect(link(known)).rejects.toMatchObject({ code });
  }
});

test("a proxy that reaches nobody is told from nobody at all, and from one that is not answered in time", async () => {
  for (const [status, cause] of [
    [502, { name: "NobodyThereError", saidBy: "proxy" }],
    [504, undefined],
  ] as const) {
    const { port } = await serve((_request, response) => response.writeHead(status).end("no"));
    const attempt = link(newClient(port, { keyList: fakeDirectory().verified }));
    const { code, cause: found } = await attempt.then(
      () => new UnavailableError("E_DIRECTORY", "it has linked"),
      (error: UnavailableError) => error,
    );
    expect([code, found]).toEqual(["E_DIRECTORY", cause && expect.objectContaining(cause)]);
  }
  const away = newClient(await freePort(), { keyList: fakeDirectory().verified });
  await expect(link(away)).rejects.toMatchObject({ cause: { name: "NobodyThereError", saidBy: "network" } });
});

test("a directory is where it answers a sealed message from, and an answer that anybody can give shows nothing", async () => {
  await using world = await World.start();
  const client = world.client();
  await client.fetchKeyList({ signal: patience() });
  expect(client.remoteAddress).toBeUndefined();
  await client.request(sender, question, { signal: patience() }).catch(() => {});
  expect(client.remoteAddress).toBe("127.0.0.1");

  const silent = await fakeDirectory().serve((_sealer, response) => response.end());
  await expect(silent.request(sender, question, { signal: patience() })).rejects.toThrow();
  expect(silent.remoteAddress).toBeUndefined();
});

test("a key list that goes on for ever, or is none, is refused", async () => {
  const { port } = await serve((_request, response) => {
    const flood = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
    };
    response.on("drain", flood);
    flood();
  });
  await expect(newClient(port).keyList({ signal: patience() })).rejects.toMatchObject({ code: "E_DIRECTORY" });
  const none = await serve((_request, response) => response.end("<html>"));
  await expect(newClient(none.port).keyList({ signal: patience() })).rejects.toMatchObject({ code: "E_DIRECTORY" });
});

test("an answer that ends before its final frame, or is cut off, is an error", async () => {
  for (const end of ["end", "destroy"] as const) {
    const directory = fakeDirectory();
    const client = await directory.serve((sealer, response) => {
      response.write(Buffer.concat([sealer.opening, seal(sealer, welcome, false)]), () => response[end]());
    });
    await expect(client.request(sender, question, { signal: patience() })).rejects.toMatchObject({
      code: "E_DIRECTORY",
    });
  }
});

test("an answer that is changed on its way, goes on after its end, or is of an unknown kind is refused", async () => {
  const done: Frame = { type: "done" };
  const changes: ((bytes: Uint8Array) => Uint8Array)[] = [
    (bytes) => bytes.with(40, (bytes[40] ?? 0) ^ 1),
    (bytes) => bytes.with(5, (bytes[5] ?? 0) ^ 1),
    (bytes) => bytes.with(0, 7),
    (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]),
  ];
  for (const change of changes) {
    const client = await fakeDirectory().serve((sealer, response) => {
      const bytes = Buffer.concat([sealer.opening, seal(sealer, welcome, false), seal(sealer, done, true)]);
      response.end(change(new Uint8Array(bytes)));
    });
    await expect(client.request(sender, question, { signal: patience() })).rejects.toMatchObject({
      code: "E_PROTOCOL",
    });
  }
});

test("a directory that never accepts the time is asked twice, and no more", async () => {
  let posts = 0;
  const client = await fakeDirectory().serve((sealer, response) => {
    posts += 1;
    const refused: Frame = { type: "refused", code: "E_CLOCK", detail: 0 };
    response.end(Buffer.concat([sealer.opening, seal(sealer, welcome, false), seal(sealer, refused, true)]));
  });
  await expect(client.request(sender, question, { signal: patience() })).rejects.toMatchObject({ code: "E_CLOCK" });
  expect(posts).toBe(2);
});

test("a directory that never knows its own key is asked twice, and no more", async () => {
  let posts = 0;
  const directory = fakeDirectory();
  const client = await directory.serve((_sealer, response) => {
    posts += 1;
    response.end(encodeKeyListResponse(directory.signed));
  });
  const attempt = client.request(sender, question, { signal: patience() });
  await expect(attempt).rejects.toMatchObject({ code: "E_DIRECTORY_LIST" });
  expect(posts).toBe(2);
});

test("whoever gives up waiting is gone at once, with his own reason", async () => {
  await using world = await World.start();
  const client = await world.activated("@client", "laptop", "client");
  const device = await world.activated("@device", "mygateway", "device");
  const stop = new AbortController();
  const frames = send(world, client, sessionMessage(client, device, { waitSeconds: 60 }), stop.signal);
  await frames.next();
  const reason = new Error("enough");
  const ending = rest(frames);
  stop.abort(reason);
  await expect(ending).rejects.toBe(reason);
  await expect.poll(() => world.directory.posts.open).toBe(0);
  const late = world.client().request(sender, question, { signal: stop.signal });
  await expect(late).rejects.toBe(reason);

  const control = new AbortController();
  const ended = await TestLink.open(world, device, { signal: control.signal });
  control.abort(reason);
  expect(await ended.end()).toBe(reason);
  await expect.poll(() => world.directory.presence.size).toBe(0);
});

test("a certificate that does not verify is reported once, and stops nothing", async () => {
  await using world = await World.start({ tls: SELF_SIGNED });
  const warnings: string[] = [];
  const address = parseDirectoryAddress(world.address.text.replace("http:", "https:"));
  const client = world.client({ address, warn: (text) => warnings.push(text) });
  for (let i = 0; i < 2; i++) {
    expect(await client.request(sender, question, { signal: patience() })).toMatchObject({ type: "activation" });
  }
  expect(warnings).toEqual([expect.stringContaining("does not verify")]);
});

test("a link goes over TLS as well", async () => {
  await using world = await World.start({ tls: SELF_SIGNED });
  const address = parseDirectoryAddress(world.address.text.replace("http:", "https:"));
  const secret = await world.addName(parseName("@device"));
  const device = newPerson(parseName("@device"), parseMember("mygateway"), "device");
  await activate(world.client({ address }), device, secret);
  const opened = await TestLink.open(world, device, { client: world.client({ address }) });
  await opened.close();
});

test("a directory may lie below a path of its host", async () => {
  const paths: string[] = [];
  const directory = fakeDirectory();
  const { port } = await serve((request, response) => {
    paths.push(request.url ?? "");
    response.end(encodeSignedText(directory.signed));
  });
  const address = parseDirectoryAddress(`http://127.0.0.1:${port}/np/#${directory.fingerprint}`);
  await new DirectoryClient({ address, suite, random }).keyList({ signal: patience() });
  expect(paths).toEqual(["/np/v1/keys"]);
});

/** A directory's keys, in the hands of a test. */
function fakeDirectory() {
  const root = Ed25519PrivateKey.generate(suite, random);
  const sealing = X25519PrivateKey.generate(suite, random);
  const other = Ed25519PrivateKey.generate(suite, random).publicKey;
  const list: KeyList = {
    ...{ seq: 1, issued: Date.now(), expires: Date.now() + 60_000 },
    ...{ sealing: [sealing.publicKey], ticket: [other], log: other, origin: "test" },
  };
  const signed = signKeyList(suite, root, list);
  const print = fingerprint(suite, parsePublicKeyLine(ed25519Line(root.publicKey)).blob);
  return {
    fingerprint: print,
    signed,
    verified: { list, root: ed25519Line(root.publicKey), signed },
    /** Serves the list, and has every message answered; a client of it. */
    async serve(answer: (sealer: ResponseSealer, response: Parameters<RequestListener>[1]) => void) {
      const { port } = await serve((request, response) => {
        if (request.method === "GET") return void response.end(encodeSignedText(signed));
        const chunks: Uint8Array[] = [];
        request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
        request.on("end", () => {
          const message = openMessage(suite, [sealing], Buffer.concat(chunks));
          if (message === "unknown-recipient") throw new Error("sealed to another key");
          answer(new ResponseSealer(suite, message.responseSecret, random(32)), response);
        });
      });
      return new DirectoryClient({ address: addressOf(port, print), suite, random });
    },
  };
}

function seal(sealer: ResponseSealer, frame: Frame, final: boolean): Uint8Array {
  return sealer.seal({ final, ...encodeFrame(frame) });
}

async function serve(listener: RequestListener): Promise<{ readonly port: number }> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port };
}

function addressOf(port: number, print: string): DirectoryAddress {
  return parseDirectoryAddress(`http://127.0.0.1:${port}#${print}`);
}

function newClient(port: number, options: Partial<ConstructorParameters<typeof DirectoryClient>[0]> = {}) {
  const address = addressOf(port, fakeDirectory().fingerprint);
  return new DirectoryClient({ address, suite, random, ...options });
}

async function link(client: DirectoryClient) {
  const hello = {
    name: parseName("@device"),
    member: parseMember("gw"),
    version: "0.1.0",
    names: [],
    policyHash: NO_POLICY,
  };
  return await openLink({ client, sender, hello, signal: patience() });
}
