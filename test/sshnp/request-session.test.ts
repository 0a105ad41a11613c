import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { DirectoryClient } from "../../directory/client.ts";
import { equalBytes } from "../../keys/bytes.ts";
import { SetupError } from "../../keys/errors.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { signKeyList } from "../../protocol/key-list.ts";
import { ANSWER_MS } from "../../protocol/limits.ts";
import { encodeSignedText } from "../../protocol/messages/link.ts";
import { encodeFrame, type Frame } from "../../protocol/messages/response-frames.ts";
import { parseSessionRequest, parseWithdraw } from "../../protocol/messages/session-request.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { ResponseSealer } from "../../protocol/response.ts";
import { openMessage } from "../../protocol/sealed-message.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { Progress } from "../../sshnp/progress.ts";
import { type RequestOutcome, requestSession, type TicketFrame } from "../../sshnp/request-session.ts";
import { cast } from "../protocol/fixtures.ts";
import { startRequest } from "../sshnpd/stage.ts";

const { client, device, directory: keys } = cast(suite);
const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
const ATTEMPT = {
  client: client.name,
  device: { name: device.name, member: device.member },
  login: "",
  directory: "http://np.example.org:7800",
};
const TICKET: Frame = {
  ...{ type: "ticket", ticket: Uint8Array.of(1, 2, 3), rendezvous: [client.binding] },
  proof: Uint8Array.of(4),
};
const WAITING: Frame = { type: "waiting", lastSeen: 0 };

/** A message that reached the directory, and the way to answer it. */
interface Asked {
  readonly type: number;
  readonly body: Uint8Array;
  /** Sends frames; `last` ends the answer in good order. */
  say(...frames: (Frame | "last")[]): void;
  /** Breaks the connection. */
  cut(): void;
}

let server: Server;
let asked: Asked[];
let progress: string[];
/** What POSTs are answered with before any of them is read: a status, and headers. */
let refusals: [number, Record<string, string>][];
beforeEach(async () => {
  asked = [];
  progress = [];
  refusals = [];
  server = createServer((request, response) => {
    const refusal = request.method === "POST" ? refusals.shift() : undefined;
    if (refusal !== undefined) return void response.writeHead(...refusal).end();
    if (request.method === "GET") return void response.end(encodeSignedText(keyList()));
    const chunks: Uint8Array[] = [];
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    request.on("end", () => {
      const message = openMessage(suite, [keys.sealing], Buffer.concat(chunks));
      if (message === "unknown-recipient") throw new Error("sealed to another key");
      asked.push({ ...message, ...answering(new ResponseSealer(suite, message.responseSecret, random(32)), response) });
      server.emit("asked");
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  server.closeAllConnections();
  server.close();
});

test("the ticket is handed on at once, and the answer with it", async () => {
  const request = begin();
  (await next()).say(TICKET);
  expect((await request.ticket).ticket).toEqual(Uint8Array.of(1, 2, 3));
  asked[0]?.say({ type: "answer", message2: Uint8Array.of(7) }, "last");
  expect(await request.outcome).toMatchObject({ kind: "answered", message2: Uint8Array.of(7) });
});

test.each<[string, [number, Record<string, string>][], Frame | undefined]>([
  ["by its HTTP status", [[503, { "retry-after": "1" }]], undefined],
  ["by a rate", [[429, { "retry-after": "1" }]], undefined],
  ["sealed", [], { type: "refused", code: "E_RATE", detail: 200 }],
])(
  "a directory that has too much to do and says when to come back, %s, is asked again then",
  async (_how, http, sealed) => {
    refusals = http;
    const request = begin();
    if (sealed !== undefined) (await next()).say(sealed, "last");
    const again = await next();
    again.say(TICKET, { type: "answer", message2: Uint8Array.of(7) }, "last");
    expect(await request.outcome).toMatchObject({ kind: "answered" });
    expect(progress.join("\n")).toContain("asking again in");
  },
);

test("a directory that says to come back much later, or not when, ends the request", async () => {
  refusals = [
    [503, { "retry-after": "9999" }],
    [429, { "retry-after": "40" }],
    [503, {}],
    [503, { "retry-after": "Fri, 31 Dec 2100 23:59:59 GMT" }],
  ];
  for (const code of ["E_BUSY", "E_RATE", "E_BUSY", "E_BUSY"]) {
    await expect(begin().outcome).rejects.toMatchObject({ code });
  }
  const request = begin();
  (await next()).say({ type: "refused", code: "E_BUSY", detail: 31_000 }, "last");
  await expect(request.outcome).rejects.toMatchObject({ code: "E_BUSY" });
  expect(asked).toHaveLength(1);
});

test.each<[string, (Frame | "last")[], string]>([
  ["an answer ahead of a ticket", [{ type: "answer", message2: new Uint8Array(1) }], "E_PROTOCOL"],
  ["two tickets", [TICKET, { ...TICKET, ticket: new Uint8Array(3) }], "E_PROTOCOL"],
  ["what belongs to an activation", [{ type: "done" }], "E_PROTOCOL"],
  ["nothing", [], "E_DIRECTORY"],
  ["a last frame that is no answer", [{ type: "keepAlive" }, "last"], "E_PROTOCOL"],
  ["a refusal", [{ type: "refused", code: "E_OFFLINE", detail: 0 }, "last"], "E_OFFLINE"],
  ["a code of the device", [{ type: "deviceCode", code: "E_BUSY", labels: "" }, "last"], "E_BUSY"],
])("a directory that says %s ends the request with a reason", async (_what, frames, code) => {
  const request = begin();
  const message = await next();
  message.say(...frames);
  if (frames.length === 0) message.cut();
  await expect(request.outcome).rejects.toMatchObject({ code });
});

test.each([
  ["ahead of a ticket", []],
  ["after a ticket", [TICKET]],
])("a directory that only says that it is still there is given up, %s", async (_when, frames) => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const request = begin();
  const message = await next();
  message.say(...frames, { type: "keepAlive" });
  if (frames.length > 0) await request.ticket;
  vi.advanceTimersByTime(ANSWER_MS);
  await expect(request.outcome).rejects.toMatchObject({ code: "E_TIMEOUT" });
});

test("a wait that loses its connection is taken up with the same bytes", async () => {
  const request = begin(600);
  const first = await next();
  first.say(WAITING);
  await vi.waitUntil(() => progress.length > 0);
  expect(progress).toEqual([expect.stringMatching(/^sshnp: waiting for mygateway of @device: .*\. Ctrl-C withdraws/)]);
  const again = next();
  first.cut();
  const second = await again;
  const [before, after] = [first, second].map(({ body }) => parseSessionRequest(body));
  expect(equalBytes(before?.prologueBytes ?? random(1), after?.prologueBytes ?? random(2))).toBe(true);
  expect(equalBytes(before?.message1 ?? random(1), after?.message1 ?? random(2))).toBe(true);
  second.say(WAITING, TICKET, { type: "answer", message2: Uint8Array.of(7) }, "last");
  expect(await request.outcome).toMatchObject({ kind: "answered" });
  expect(progress).toHaveLength(1);
});

test("a wait that is interrupted is withdrawn", async () => {
  const request = begin(600);
  (await next()).say(WAITING);
  await vi.waitUntil(() => progress.length > 0);
  const withdrawal = next();
  request.interruption.abort(new SetupError("E_INTERRUPTED", "Interrupted."));
  const message = await withdrawal;
  expect(message.type).toBe(REQUEST.withdraw);
  expect(equalBytes(parseWithdraw(message.body), request.sid)).toBe(true);
  message.say({ type: "done" }, "last");
  await expect(request.outcome).rejects.toMatchObject({ code: "E_INTERRUPTED" });
});

test("a request that does not wait is interrupted without a word", async () => {
  const request = begin();
  (await next()).say({ type: "keepAlive" });
  request.interruption.abort(new SetupError("E_INTERRUPTED", "Interrupted."));
  await expect(request.outcome).rejects.toMatchObject({ code: "E_INTERRUPTED" });
  expect(asked).toHaveLength(1);
});

function begin(waitSeconds = 0) {
  vi.spyOn(process.stderr, "write").mockImplementation((text) => progress.push(String(text)) > 0);
  const interruption = new AbortController();
  const { sid, prologue, message1 } = startRequest();
  const { port } = server.address() as AddressInfo;
  const print = fingerprint(suite, parsePublicKeyLine(ed25519Line(keys.root.publicKey)).blob);
  const address = parseDirectoryAddress(`http://127.0.0.1:${port}#${print}`);
  let outcome: Promise<RequestOutcome> = Promise.reject(new Error("not begun"));
  outcome.catch(() => {});
  const ticket = new Promise<TicketFrame>((resolve) => {
    outcome = requestSession(
      new DirectoryClient({ address, suite, random }),
      client.x25519,
      { attempt: ATTEMPT, sid, prologue, message1, waitSeconds },
      {
        signal: interruption.signal,
        progress: new Progress(false),
        onTicket: (frame) => Promise.resolve(resolve(frame)),
      },
    );
  });
  outcome.catch(() => {});
  return { outcome, ticket, interruption, sid };
}

/** The next message that reaches the directory. */
async function next(): Promise<Asked> {
  const count = asked.length;
  await once(server, "asked");
  const message = asked[count];
  if (message === undefined) throw new Error("nothing was asked");
  return message;
}

function answering(sealer: ResponseSealer, response: ServerResponse): Pick<Asked, "say" | "cut"> {
  response.write(sealer.opening);
  const welcome: Frame = { type: "welcome", time: Date.now(), nonce: random(16), keyListSeq: 1 };
  response.write(sealer.seal({ final: false, ...encodeFrame(welcome) }));
  return {
    say(...frames) {
      const isFinal = frames.at(-1) === "last";
      const said = frames.filter((frame) => frame !== "last");
      for (const [i, frame] of said.entries()) {
        response.write(sealer.seal({ final: isFinal && i === said.length - 1, ...encodeFrame(frame) }));
      }
      if (isFinal) response.end();
    },
    cut: () => response.socket?.resetAndDestroy(),
  };
}

function keyList() {
  return signKeyList(suite, keys.root, {
    ...{ seq: 1, issued: Date.now(), expires: Date.now() + 60_000 },
    ...{ sealing: [keys.sealing.publicKey], ticket: [keys.ticket.publicKey], log: keys.log.publicKey, origin: "test" },
  });
}
