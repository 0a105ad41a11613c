import { once } from "node:events";
import { chmod, type FileHandle, open, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import * as v from "valibot";
import { fromBase64 } from "../keys/bytes.ts";
import { Ed25519PublicKey } from "../keys/ed25519.ts";
import { EXIT_STATUS, type ErrorCode, SetupError, SshnpError } from "../keys/errors.ts";
import { isName, type Name } from "../keys/names.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import { shellWord } from "../keys/shell-word.ts";
import {
  ADMIN_ANSWER_BYTES,
  ADMIN_MS,
  ADMIN_REQUEST_BYTES,
  NOTE_BYTES,
  WITNESS_URL_BYTES,
} from "../protocol/limits.ts";
import { isRendezvousName } from "../protocol/statements.ts";
import type { Anchor } from "./audit/anchors.ts";
import type { Administration, NameSummary, WitnessSummary } from "./administration.ts";
import type { RendezvousSummary } from "./rendezvous-standing.ts";

/*
 * `admin.sock` in the data folder, 0600 in a 0700 folder: who may write there may do all that this socket does anyway. One
 * request a connection, one line of JSON each way. No secret passes: whoever adds a name keeps the secret to himself.
 */

const activationKey = v.pipe(
  v.string(),
  v.transform((text) => Ed25519PublicKey.parse(fromBase64(text, 32))),
);
const witnessName = v.pipe(
  v.string(),
  v.check((text) => isRendezvousName(text)),
);
const requestSchema = v.variant("command", [
  v.strictObject({ command: v.literal("names") }),
  v.strictObject({ command: v.literal("rendezvous") }),
  v.strictObject({
    command: v.literal("add-name"),
    name: v.custom<Name>((text) => typeof text === "string" && isName(text)),
    activationKey,
  }),
  v.strictObject({
    command: v.literal("add-rendezvous"),
    name: witnessName,
    activationKey,
  }),
  v.strictObject({ command: v.literal("remove-rendezvous"), name: witnessName }),
  v.strictObject({ command: v.literal("witnesses") }),
  v.strictObject({ command: v.literal("anchor-audit") }),
  v.strictObject({ command: v.literal("log-file"), path: v.pipe(v.string(), v.maxLength(NOTE_BYTES)) }),
  v.strictObject({ command: v.literal("remove-witness"), name: witnessName }),
  v.strictObject({
    command: v.literal("add-witness"),
    name: witnessName,
    url: v.pipe(v.string(), v.maxLength(WITNESS_URL_BYTES)),
    verifierKey: v.pipe(v.string(), v.maxLength(NOTE_BYTES)),
  }),
]);
const answerSchema = v.union([
  v.strictObject({ ok: v.unknown() }),
  v.strictObject({
    error: v.strictObject({
      code: v.custom<ErrorCode>((code) => typeof code === "string" && Object.hasOwn(EXIT_STATUS, code)),
      fact: v.string(),
      next: v.optional(v.string()),
    }),
  }),
]);

/** Answers on the folder's socket, until it is closed. One that a dead process left is replaced. @throws {SetupError} E_STORAGE. */
export async function serveAdministration(
  folder: PrivateFolder,
  administration: Administration,
): Promise<AsyncDisposable> {
  const place = await socketPlace(folder);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    answer(socket, administration).catch(() => socket.destroy());
  });
  server.maxConnections = 8;
  try {
    await rm(place.path, { force: true });
    server.listen(place.path);
    await once(server, "listening");
    await chmod(place.path, 0o600);
  } catch (cause) {
    server.close();
    throw new SetupError("E_STORAGE", `Cannot listen on ${shellWord(folder.pathOf(SOCKET))}.`, {
      next: "Check that folder's owner, what has that name in it, and the free space.",
      cause,
    });
  }
  return {
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve)); // which removes the socket
      await place.release();
    },
  };
}

/**
 * Administration through the process that serves this folder, for one request; undefined when none does.
 * Its methods throw what the other side threw, and {SetupError} E_STORAGE when it does not answer.
 */
export async function connectAdministration(folder: PrivateFolder): Promise<Administration | undefined> {
  const place = await socketPlace(folder);
  const socket = await dial(place.path);
  await place.release();
  if (socket === undefined) return undefined;
  const ask = (request: object): Promise<unknown> => askOnce(socket, folder, request);
  return {
    addName: async (name, key) => (await ask({ command: "add-name", name, activationKey: key })) as "new" | "again",
    names: async () => (await ask({ command: "names" })) as NameSummary[],
    addRendezvous: async (name, key) =>
      (await ask({ command: "add-rendezvous", name, activationKey: key })) as "new" | "again",
    removeRendezvous: async (name) => (await ask({ command: "remove-rendezvous", name })) as boolean,
    rendezvous: async () => (await ask({ command: "rendezvous" })) as RendezvousSummary[],
    addWitness: async (name, witness) => void (await ask({ command: "add-witness", name, ...witness })),
    removeWitness: async (name) => (await ask({ command: "remove-witness", name })) as boolean,
    witnesses: async () => (await ask({ command: "witnesses" })) as WitnessSummary[],
    anchorAudit: async () => (await ask({ command: "anchor-audit" })) as Anchor,
    logFile: async (path) => ((await ask({ command: "log-file", path })) as string | null) ?? undefined,
  };
}

const SOCKET = "admin.sock";

async function answer(socket: Socket, administration: Administration): Promise<void> {
  socket.setTimeout(ADMIN_MS, () => socket.destroy());
  const line = await readLine(socket, ADMIN_REQUEST_BYTES);
  try {
    socket.end(`${JSON.stringify({ ok: await perform(administration, parseAdminRequest(line)) })}\n`);
  } catch (error) {
    const known =
      error instanceof SshnpError ? error : new SetupError("E_BUG", "The directory failed at this request.");
    const { code, message: fact, next } = known;
    socket.end(`${JSON.stringify({ error: { code, fact, next } })}\n`);
  }
}

/** One line to the socket. @throws {SetupError} E_PROTOCOL when it is no request; {SecurityError} for a key that is none. */
export function parseAdminRequest(line: string): AdminRequest {
  return parseLine(requestSchema, line, "The admin request is malformed.");
}

/** One line from the socket. @throws {SetupError} E_PROTOCOL when it is no answer. */
export function parseAdminAnswer(line: string): AdminAnswer {
  return parseLine(answerSchema, line, "The answer of the directory is malformed.");
}

function parseLine<Schema extends v.GenericSchema>(schema: Schema, line: string, fact: string): v.InferOutput<Schema> {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw new SetupError("E_PROTOCOL", fact, { cause });
  }
  const result = v.safeParse(schema, json, { abortEarly: true });
  if (!result.success) throw new SetupError("E_PROTOCOL", fact);
  return result.output;
}

type AdminRequest = v.InferOutput<typeof requestSchema>;
type AdminAnswer = v.InferOutput<typeof answerSchema>;

async function perform(administration: Administration, request: AdminRequest): Promise<unknown> {
  switch (request.command) {
    case "names":
      return await administration.names();
    case "rendezvous":
      return await administration.rendezvous();
    case "remove-rendezvous":
      return await administration.removeRendezvous(request.name);
    case "add-name":
      return await administration.addName(request.name, request.activationKey);
    case "add-rendezvous":
      return await administration.addRendezvous(request.name, request.activationKey);
    case "witnesses":
      return await administration.witnesses();
    case "anchor-audit":
      return await administration.anchorAudit();
    case "log-file":
      return (await administration.logFile(request.path)) ?? null;
    case "remove-witness":
      return await administration.removeWitness(request.name);
    case "add-witness":
      return (await administration.addWitness(request.name, request), true);
  }
}

async function askOnce(socket: Socket, folder: PrivateFolder, request: object): Promise<unknown> {
  try {
    socket.setTimeout(ADMIN_MS, () => socket.destroy());
    socket.end(`${JSON.stringify(request)}\n`);
    const result = parseAdminAnswer(await readLine(socket, ADMIN_ANSWER_BYTES));
    if ("ok" in result) return result.ok;
    const { code, fact, next } = result.error;
    throw new SetupError(code, fact, next === undefined ? {} : { next });
  } catch (error) {
    throw error instanceof SshnpError ? error : silent(folder, error);
  } finally {
    socket.destroy();
  }
}

function silent(folder: PrivateFolder, cause?: unknown): SetupError {
  return new SetupError("E_STORAGE", `The directory that serves ${shellWord(folder.path)} does not answer.`, {
    next: "Look at its log; restart it if it hangs.",
    cause,
  });
}

/** A connection, or undefined when nothing listens there. */
async function dial(path: string): Promise<Socket | undefined> {
  return await new Promise((resolve) => {
    const socket = connect({ path, allowHalfOpen: true });
    socket.once("connect", () => resolve(socket));
    socket.on("error", () => resolve(undefined)); // later ones end the reading
  });
}

async function readLine(socket: Socket, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    if (!(chunk instanceof Uint8Array)) break;
    chunks.push(chunk);
    length += chunk.length;
    if (length > maxBytes) throw new SetupError("E_PROTOCOL", "The admin request is too long.");
    if (chunk.at(-1) === 0x0a) break;
  }
  return Buffer.concat(chunks).toString("utf8").trimEnd();
}

/** A path for the socket that the kernel takes, which has room for 107 bytes: a longer one goes by way of the open folder. */
async function socketPlace(folder: PrivateFolder): Promise<{ readonly path: string; release(): Promise<void> }> {
  const path = folder.pathOf(SOCKET);
  if (Buffer.byteLength(path) <= 107) return { path, release: async () => {} };
  const handle: FileHandle = await open(folder.path, "r");
  return { path: `/proc/self/fd/${handle.fd}/${SOCKET}`, release: () => handle.close() };
}
