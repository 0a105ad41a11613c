/**
 * A directory as a client meets it, whose words and whose log are the test's, so that it may lie; behind it a real device
 * answers, and a rendezvous takes legs and says nothing.
 */
import { once } from "node:events";
import { createServer as createHttpServer, type Server as HttpServer, type ServerResponse } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { WitnessOptions } from "../../directory/client.ts";
import { concat } from "../../keys/bytes.ts";
import { writeMemberFile } from "../../keys/end-key-files.ts";
import { ed25519Line, type Fingerprint, fingerprint, parsePublicKeyLine, sshString } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { encodeLogProof, type LogProof } from "../../protocol/log/proof.ts";
import type { MemberStatements } from "../../protocol/member-statements.ts";
import { encodeSignedText } from "../../protocol/messages/link.ts";
import { encodeFrame, type Frame } from "../../protocol/messages/response-frames.ts";
import { parseSessionRequest, type SessionRequest } from "../../protocol/messages/session-request.ts";
import { ResponseSealer } from "../../protocol/response.ts";
import { openMessage } from "../../protocol/sealed-message.ts";
import { subjectOf } from "../../protocol/statement-fields.ts";
import { bindingSubject, signRendezvousStatement } from "../../protocol/statements.ts";
import { signTicket } from "../../protocol/ticket.ts";
import { connect } from "../../sshnp/connect.ts";
import { Progress } from "../../sshnp/progress.ts";
import type { Session } from "../../sshnp/session.ts";
import { NOW } from "../protocol/fixtures.ts";
import { clientStatements, keyList, ORIGIN, people, random, type Stage, setStage, suite } from "../sshnpd/stage.ts";
import { StatementLog } from "../support/statement-log.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

const { client, device, directory, rendezvous } = people;
export const DIRECTORY: Fingerprint = fingerprint(
  suite,
  parsePublicKeyLine(ed25519Line(directory.root.publicKey)).blob,
);
const HOST_KEY = concat(sshString("ssh-ed25519"), sshString(device.ed25519.publicKey.bytes));

export class ScriptedDirectory implements AsyncDisposable {
  readonly keys: PrivateFolder;
  /** That it proves from; who asks has seen what he says. */
  log: StatementLog;
  /** What it says of the device, and hands on of the client. */
  device: MemberStatements = { names: [device.nameStatement], member: device.binding, delegation: undefined };
  client: MemberStatements = clientStatements;
  /** What it says instead of anything else, one of them to each request: newer statements on one of the two. */
  readonly interjections: { readonly of: "client" | "device"; readonly statements: MemberStatements }[] = [];
  /** The subjects that it proves with its statements and with its ticket, where they are not those of what it says. */
  provenWithStatements: readonly string[] | undefined;
  provenWithTicket: readonly string[] | undefined;
  /** What becomes of every proof before it is sent. */
  mangled: (proof: LogProof) => Partial<LogProof> = () => ({});
  /** What it says the time is. */
  time: () => number = Date.now;
  /** When its tickets are issued. */
  ticketTime: () => number = () => this.time();
  readonly requests: SessionRequest[] = [];
  readonly legs: Socket[] = [];
  /** The statement of the one rendezvous. */
  readonly rendezvous: SignedText;
  /** The device. */
  readonly stage: Stage;
  readonly #addresses: readonly string[];
  readonly #folder: TemporaryFolder;
  readonly #http: HttpServer;
  readonly #lobby: Server;

  /** `deviceLog`: another log than the one that the client is shown. */
  static async start({ deviceLog }: { readonly deviceLog?: StatementLog } = {}): Promise<ScriptedDirectory> {
    const folder = await temporaryFolder();
    const http = createHttpServer().listen(0, "127.0.0.1");
    const lobby = createServer().listen(0, "127.0.0.1");
    await Promise.all([once(http, "listening"), once(lobby, "listening")]);
    const log = new StatementLog(suite, directory.log, ORIGIN);
    const hostKeys = { current: () => Promise.resolve([HOST_KEY]) };
    const stage = await setStage(hostKeys, { statementLog: deviceLog ?? log });
    const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
    const { name, member, role, x25519, ed25519, owner, nameStatement, binding } = client;
    await writeMemberFile(keys, {
      ...{ name, member, role, x25519, ed25519, owner: ed25519Line(owner.publicKey) },
      directory: `http://127.0.0.1:${(http.address() as AddressInfo).port}#${DIRECTORY}`,
      statements: [nameStatement, binding],
    });
    return new ScriptedDirectory({ folder, keys, http, lobby, log, stage });
  }

  private constructor(parts: {
    readonly folder: TemporaryFolder;
    readonly keys: PrivateFolder;
    readonly http: HttpServer;
    readonly lobby: Server;
    readonly log: StatementLog;
    readonly stage: Stage;
  }) {
    this.#folder = parts.folder;
    this.keys = parts.keys;
    this.#http = parts.http;
    this.#lobby = parts.lobby;
    this.log = parts.log;
    this.stage = parts.stage;
    this.#addresses = [`tcp://127.0.0.1:${(parts.lobby.address() as AddressInfo).port}`];
    this.rendezvous = signRendezvousStatement(suite, random, directory.root, {
      ...{ rendezvous: "eu1", seq: 1, prev: null, issued: NOW, expires: null, addresses: this.#addresses },
      ...{ x25519: rendezvous.x25519.publicKey, ed25519: rendezvous.ed25519.publicKey },
    });
    this.log.add(client.nameStatement, client.binding, device.nameStatement, device.binding, this.rendezvous);
    this.#lobby.on("connection", (leg) => this.legs.push(leg.on("error", () => {}).resume()));
    this.#http.on("request", (request, response) => {
      if (request.method === "GET") return void response.end(encodeSignedText(keyList.signed));
      const chunks: Uint8Array[] = [];
      request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      request.on("end", () => void this.#answer(Buffer.concat(chunks), response));
    });
  }

  /** What `sshnp @client @device mygateway` does, up to the session. */
  connect(witnesses?: WitnessOptions): Promise<Session> {
    const destination = {
      ...{ client: undefined, device, owner: undefined, login: "", directory: undefined, keys: this.keys.path },
      ...{ waitSeconds: 0, pushKey: undefined, verbose: false, witnesses },
    };
    const signal = AbortSignal.timeout(20_000);
    return connect(destination, { keys: this.keys.path, userKey: undefined, progress: new Progress(false), signal });
  }

  /** A connect that must succeed, to its end. */
  async connectOnce(): Promise<void> {
    const session = await this.connect();
    for (const leg of this.legs.splice(0)) leg.destroy();
    await session.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const leg of this.legs) leg.destroy();
    this.#lobby.close();
    this.#http.closeAllConnections();
    this.#http.close();
    await this.stage[Symbol.asyncDispose]();
    await this.#folder.remove();
  }

  async #answer(bytes: Uint8Array, response: ServerResponse): Promise<void> {
    const message = openMessage(suite, [directory.sealing], bytes);
    if (message === "unknown-recipient") throw new Error("sealed to another key");
    const sealer = new ResponseSealer(suite, message.responseSecret, random(32));
    const say = (frame: Frame, final = false): void => {
      response.write(sealer.seal({ final, ...encodeFrame(frame) }));
    };
    response.write(sealer.opening);
    say({ type: "welcome", time: this.time(), nonce: random(16), keyListSeq: 1 });
    const request = parseSessionRequest(message.body);
    this.requests.push(request);
    await this.#say(request, say);
    response.end();
  }

  async #say(request: SessionRequest, say: (frame: Frame, final?: boolean) => void): Promise<void> {
    const prove = (subjects: readonly string[]): Uint8Array => {
      const proof = this.log.proof(subjects, request.checkpointSize);
      return encodeLogProof({ ...proof, ...this.mangled(proof) });
    };
    const lookedUp = request.message1.length === 0 ? { of: "device" as const, statements: this.device } : undefined;
    const told = this.interjections.shift() ?? lookedUp;
    if (told !== undefined) {
      const { of, statements } = told;
      const proof = prove(this.provenWithStatements ?? subjectsOf(request.prologue[of], statements));
      return say({ type: "binding", of, statements, proof }, true);
    }
    const { prologue, prologueBytes, message1 } = request;
    const { boot, ed25519 } = rendezvous;
    const ticket = signTicket(suite, directory.ticket, {
      ...{ sid: prologue.sid, legKey: prologue.legKey, issued: this.ticketTime(), expires: this.ticketTime() + 60_000 },
      entries: [{ key: ed25519.publicKey, boot, addresses: this.#addresses }],
    });
    const subjects = [
      bindingSubject(prologue.client),
      ...subjectsOf(prologue.device, this.device),
      subjectOf(this.rendezvous),
    ];
    const statements = [this.rendezvous];
    say({ type: "ticket", ticket, rendezvous: statements, proof: prove(this.provenWithTicket ?? subjects) });
    const notify = { prologue, prologueBytes, message1, ticket, client: this.client, rendezvous: statements };
    const answer = await this.stage.answer({ ...notify, proof: new Uint8Array(0) });
    if ("message2" in answer) say({ type: "answer", message2: answer.message2 }, true);
    else say({ type: "deviceCode", code: answer.code, labels: answer.labels.join(",") }, true);
  }
}

function subjectsOf(party: Parameters<typeof bindingSubject>[0], { delegation }: MemberStatements): string[] {
  return [party.name, bindingSubject(party), ...(delegation === undefined ? [] : [subjectOf(delegation)])];
}
