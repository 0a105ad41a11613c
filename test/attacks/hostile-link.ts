import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { WebSocket } from "ws";
import { DirectoryClient } from "../../directory/client.ts";
import { LinkOpener, LinkSealer } from "../../directory/link-sealing.ts";
import type { RandomBytes } from "../../keys/cipher-suite.ts";
import { listKeyFiles, type MemberKeys, readMemberFile } from "../../keys/end-key-files.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import {
  LINK_MESSAGE_BYTES,
  LINK_MESSAGES_BURST,
  LINK_MESSAGES_PER_SECOND,
  MESSAGE2_BYTES,
} from "../../protocol/limits.ts";
import { encodeLinkHello, parseLinkWelcome } from "../../protocol/messages/link.ts";
import { encodeAnswer } from "../../protocol/messages/session-request.ts";
import { LINK } from "../../protocol/messages/types.ts";
import { sealMessage } from "../../protocol/sealed-message.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import type { Attack } from "./attack.ts";
import { AttackingMember } from "./member.ts";
import type { Site } from "./site.ts";
import { pace, takeTurns } from "./traffic.ts";

/** From the end of one link to the next. */
const PAUSE_MS = 50;
/** Each costs the device that is asked a handshake. */
const REQUESTS_PER_SECOND = 2;
/** Above what one link may say at once. */
const MESSAGES = LINK_MESSAGES_BURST + 2 * LINK_MESSAGES_PER_SECOND;
/** Until the directory has cut a link that breaks the rules, on a busy machine. */
const CUT_MS = 10_000;

const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));

interface OpenLink {
  readonly socket: WebSocket;
  readonly seal: (type: number, body: Uint8Array) => Uint8Array;
  /** The session that somebody else's device was asked for last. */
  readonly sid: Uint8Array;
}

/** What ends a link; each is said by a device of the directory after a proper hello. */
const MOVES: readonly ((link: OpenLink) => void)[] = [
  ({ socket }) => socket.send(random(300)),
  ({ socket }) => socket.send(random(LINK_MESSAGE_BYTES)),
  ({ socket }) => socket.send("text"),
  ({ socket, seal }) => socket.send(seal(LINK.notify, random(100))), // what only a directory says
  ({ socket, seal }) => socket.send(seal(LINK.answer, random(100))), // sealed, and garbage inside
  ({ socket, seal, sid }) => {
    const answer = seal(LINK.answer, encodeAnswer({ sid, message2: random(100) }));
    socket.send(answer);
    socket.send(answer); // twice the same
  },
  ({ socket }) => times(MESSAGES, () => socket.ping()),
  ({ socket }) => times(MESSAGES, () => socket.pong()),
  // Answers in the place of another device, more than anybody may give who was asked nothing.
  ({ socket, seal, sid }) =>
    times(MESSAGES, () => socket.send(seal(LINK.answer, encodeAnswer({ sid, message2: random(1_200) })))),
  ({ socket, seal }) =>
    times(MESSAGES, () =>
      socket.send(seal(LINK.answer, encodeAnswer({ sid: random(16), message2: random(MESSAGE2_BYTES / 8) }))),
    ),
];

/** A device that has a binding and keeps none of a link's rules: all it may reach is the end of its own link. */
export const hostileLink: Attack = {
  name: "hostile-link",
  from: "elsewhere",
  surface: "directory: the link of a device after its hello",
  async run(site, signal) {
    const dial = await dialerOf(site, signal);
    const member = await AttackingMember.of(site.strangerKeys, site.address);
    let sid: Uint8Array = random(16);
    let cut = 0;
    let answered = 0;
    let failure: Error | undefined;
    const open = new Set<Promise<void>>();
    const begin = (act: () => Promise<void>): void => {
      const acting = act()
        .catch((error: Error) => {
          if (!signal.aborted) failure ??= error;
        })
        .finally(() => open.delete(acting));
      open.add(acting);
    };
    const asking = pace(REQUESTS_PER_SECOND, signal, () =>
      begin(async () => {
        const asked = await member.ask(signal, (initiator) => (sid = initiator.sid));
        if ("refused" in asked) return; // the directory said that it is too much
        const answer = await asked.answer;
        if (answer?.type !== "answer") return; // the device said that it is busy
        asked.initiator.readMessage2(answer.message2, asked.ticket); // throws when it is another one's
        answered++;
      }),
    );
    // One after the other: a newer link of the same device would end the one before, whatever that has done.
    await takeTurns(1, signal, async (n) => {
      try {
        const link = await dial(() => sid);
        const closed = once(link.socket, "close", { signal: AbortSignal.any([signal, AbortSignal.timeout(CUT_MS)]) });
        try {
          MOVES[n % MOVES.length]?.(link);
          await closed;
          cut++;
        } catch (cause) {
          throw new Error(`move ${n % MOVES.length} was suffered`, { cause });
        } finally {
          link.socket.terminate();
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
      await delay(PAUSE_MS, undefined, { signal }).catch(() => {});
    });
    await Promise.all([asking, ...open]);
    if (failure !== undefined) throw failure;
    if (cut === 0) throw new Error("no link was cut");
    if (answered === 0) throw new Error("the device that was asked never answered");
    return `${cut} links cut for ${MOVES.length} kinds of breaches, ${answered} answers of the true device`;
  },
};

/** Opens links of the site's hostile device, each up to the directory's welcome. */
async function dialerOf(site: Site, signal: AbortSignal): Promise<(sid: () => Uint8Array) => Promise<OpenLink>> {
  const keys = await keysIn(site.deviceKeys);
  const client = new DirectoryClient({ address: parseDirectoryAddress(site.address), suite, random });
  const { list } = await client.fetchKeyList({ signal });
  const [directory] = list.sealing;
  if (directory === undefined) throw new Error("a key list has no sealing key");
  const parties = { sender: keys.x25519, recipient: directory };
  return async (sid) => {
    const socket = new WebSocket(`ws://127.0.0.1:${site.directoryPort}/v1/link`).on("error", () => {});
    const leave = (): void => socket.terminate();
    signal.addEventListener("abort", leave, { once: true });
    socket.on("close", () => signal.removeEventListener("abort", leave));
    await once(socket, "open", { signal });
    const epoch = random(16);
    const hello = {
      name: keys.name,
      member: keys.member,
      version: "0",
      names: [],
      epoch,
      checkpointSize: 0,
      policyHash: new Uint8Array(32),
    };
    const freshness = { kind: "time", time: Date.now() } as const;
    const content = { freshness, id: random(16), type: LINK.hello, body: encodeLinkHello(hello) };
    socket.send(sealMessage(suite, random, parties, content).bytes);
    const [welcome] = (await once(socket, "message", { signal })) as [Buffer];
    const { type, body } = new LinkOpener(suite, epoch).open([keys.x25519], list.sealing, welcome);
    if (type !== LINK.welcome) throw new Error("the directory does not welcome a device");
    const sealer = new LinkSealer({ suite, random }, parties, parseLinkWelcome(body).nonce);
    return { socket, seal: (kind, text) => sealer.seal({ type: kind, body: text }), sid: sid() };
  };
}

async function keysIn(path: string): Promise<MemberKeys> {
  const folder = await PrivateFolder.open(path);
  const files = folder === undefined ? [] : await listKeyFiles(folder);
  const entry = files.find((file) => file.kind === "member");
  if (folder === undefined || entry?.kind !== "member") throw new Error(`no member's key in ${path}`);
  const keys = await readMemberFile(suite, folder, entry, () => Promise.reject(new Error("no passphrase")));
  if (keys === undefined) throw new Error(`no member's key in ${path}`);
  return keys;
}

function times(count: number, act: () => void): void {
  for (let i = 0; i < count; i++) act();
}
