import { setTimeout as delay } from "node:timers/promises";
import { hex } from "../keys/bytes.ts";
import { DeniedError, SecurityError, UnavailableError } from "../keys/errors.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import type { AskPassphrase } from "../keys/end-key-files.ts";
import { readPins } from "../keys/peer-files.ts";
import { REPOST_MS } from "../protocol/limits.ts";
import { SessionInitiator } from "../protocol/session/initiator.ts";
import type { RequestPayload } from "../protocol/session/payloads.ts";
import { loadKem } from "../protocol/suite/load.ts";
import { dialLeg, type Leg } from "../rendezvous/client.ts";
import { isAtPrivateAddress } from "./private-directory.ts";
import { measureInBackground, rememberedDistances } from "./distances.ts";
import type { TicketEntry } from "../protocol/ticket.ts";
import type { Attempt } from "./attempt.ts";
import type { Client } from "./client-keys.ts";
import type { Destination } from "./command-line.ts";
import { lookUpDevice, rememberedDevice } from "./device-claim.ts";
import type { DirectoryAccess } from "./directory-access.ts";
import { withDoctor } from "./doctor-hint.ts";
import { pinDevice } from "./pins.ts";
import type { Progress } from "./progress.ts";
import type { UserKey } from "./public-key.ts";
import { logTrouble } from "./log-texts.ts";
import { isEndNear, ownEndNear, ownEndTrouble } from "./own-end-texts.ts";
import { deviceRefusal } from "./refusal-texts.ts";
import type { SessionAgent } from "./session-agent.ts";
import { keyNotCertified, keyNotTaken, noSshServer } from "./session-texts.ts";
import { Parties } from "./parties.ts";
import { requestSession, type StatementsOutcome } from "./request-session.ts";
import { openSession, type Session } from "./session.ts";

/** What a session begins with, beside the destination. */
export interface Surroundings {
  /** Absolute path of the keys folder. */
  readonly keys: string;
  /** What the session is asked for; `ssh` when it is not said. Others may be opened in it, each judged by itself. */
  readonly service?: string;
  /** Which command asks, for what people are told to do next; undefined: a session of ssh. */
  readonly asked?: Attempt["asked"];
  /** The SSH public key that the device is asked to admit. */
  readonly userKey: UserKey | undefined;
  /** A key of this session that the device is asked to certify, and who is told the certificate; instead of `userKey`. */
  readonly sessionKey?: Pick<SessionAgent, "blob" | "certified"> | undefined;
  /** Asks for the passphrase of a key file; the person at the terminal unless said. */
  readonly passphrase?: AskPassphrase;
  readonly progress: Progress;
  /** Ends the attempt. */
  readonly signal: AbortSignal;
  /** Told as each is reached; those of an attempt that is begun anew come again. */
  readonly onMilestone?: (milestone: Milestone) => void;
}

/** How far a connect has come: the request went out, the ticket came, the device's answer; the leg is dialled, joined. */
export type Milestone = "asked" | "ticket" | "answered" | "dialling" | "dialled" | "joined";

/**
 * From who asks to a session: what is known of the device, the request and the device's answer by way of the directory, and the
 * leg, which is dialled while the answer is still on its way. @throws as connect() does.
 */
export async function negotiate(
  { suite, random }: { readonly suite: CipherSuite; readonly random: RandomBytes },
  { client, directory }: { readonly client: Client; readonly directory: DirectoryAccess },
  { device, owner: given, login, waitSeconds }: Destination,
  surroundings: Surroundings,
): Promise<Session> {
  const { keys: path, service = "ssh", asked: by, userKey, sessionKey, progress, signal, onMilestone } = surroundings;
  const { folder, keys } = client;
  const kem = await loadKem();
  const { fingerprint, url } = directory.client.address;
  const { origin } = url;
  const attempt: Attempt = { client: keys.name, device, login, directory: origin, service, asked: by };
  const [pins, distances] = await Promise.all([readPins(folder, device), rememberedDistances(folder, fingerprint)]);
  const remembered = rememberedDevice(suite, pins, device, given, directory.now());
  const parties = new Parties(suite, client, { pins, given }, remembered);
  const take = async ({ of, statements, proof }: StatementsOutcome): Promise<void> => {
    const proved = directory.client.acceptProof(proof);
    if (of === "client") await parties.takeOwn(statements, proved);
    else await parties.takeDevice(device, statements, proved, directory.now());
  };
  progress.step(`asking ${attempt.directory} as ${keys.member} of ${keys.name}`);

  const waitUntil = performance.now() + waitSeconds * 1000;
  try {
    for (;;) {
      const { self, claim } = parties;
      if (claim === undefined) {
        const asked = { attempt, self, device };
        await take(await lookUpDevice(directory.client, keys.x25519, asked, { signal, progress }));
        continue;
      }
      const judged = parties.judge(claim, directory.now());
      const initiator = new SessionInitiator(
        { suite, kem, random },
        { client: keys.x25519, device: judged.binding.statement.x25519 },
        {
          client: self,
          device: { ...device, bindingHash: judged.binding.hash },
          service,
          login,
          sshKey: sshKeyOf(surroundings),
          checkpoint: directory.client.checkpoint,
        },
      );
      const { sid, legKey, prologue, message1 } = initiator;
      progress.step(`session ${hex(sid)}`);
      const failed = new AbortController();
      let leg: Promise<Leg> | undefined;
      let dial: (() => Promise<Leg>) | undefined;
      let dials = 0;
      let offered: readonly TicketEntry[] = [];
      const giveUp = (reason: unknown): void => {
        failed.abort(reason);
        leg?.then(({ socket }) => socket.destroy()).catch(() => {});
      };
      try {
        onMilestone?.("asked");
        const outcome = await requestSession(
          directory.client,
          keys.x25519,
          {
            ...{ attempt, sid, prologue, message1, waitSeconds: secondsUntil(waitUntil) },
            distances: distances.told(Date.now()),
          },
          {
            signal,
            progress,
            onTicket: async (frame) => {
              const checked = await directory.checkTicket(frame, { sid, legKey: legKey.publicKey }, signal);
              const { entries } = checked.ticket;
              offered = entries;
              directory.client
                .acceptProof(frame.proof)
                .demand([parties.ownBinding, ...judged.newest, ...checked.newest]);
              progress.step(`to meet at ${entries.flatMap(({ addresses }) => addresses.slice(0, 1)).join(", else ")}`);
              dial = () =>
                dialLeg({
                  ...{ suite, sid, legKey, ticket: frame.ticket, entries, role: "client" },
                  nextDial: () => ++dials,
                  allowPrivate: isAtPrivateAddress(directory),
                  warn: (text) => progress.step(text),
                  signal: AbortSignal.any([signal, failed.signal]),
                });
              onMilestone?.("ticket");
              onMilestone?.("dialling");
              leg = dial();
              void tellOf(leg, onMilestone);
            },
          },
        );
        if (outcome.kind === "statements") {
          progress.step(`the directory has newer statements on the ${outcome.of}; asking again`);
          giveUp(undefined);
          await take(outcome);
          continue;
        }
        onMilestone?.("answered");
        const { payload, keys: sessionKeys } = initiator.readMessage2(outcome.message2, outcome.ticket);
        directory.client.compareCheckpoint(payload.checkpoint);
        if (payload.refusal !== undefined) throw deviceRefusal(attempt, payload.refusal);
        const { hostKeys } = payload;
        if (service === "ssh" && hostKeys.length === 0) throw noSshServer(attempt, "no SSH server answers on it.");
        await pinDevice(suite, folder, { claim, given, hostKeys }, directory.now());
        if (judged.firstContact) {
          const owner = `owner ${judged.ownerFingerprint}`;
          progress.note(
            `${device.name} is new here: ${owner} (not compared with anybody; sshnp ${device.name}=SHA256:... compares)`,
          );
          const { fingerprintWords } = await import("../keys/fingerprint-words.ts");
          progress.note(
            `In words, as sshnp-keys show ${device.name} has them: ${await fingerprintWords(judged.ownerFingerprint)}`,
          );
        }
        if (isEndNear(parties.ownEnd, directory.now())) progress.note(ownEndNear(client.keys, parties.ownEnd));
        if (sessionKey !== undefined) {
          if (payload.certificate === undefined) throw keyNotCertified(attempt);
          sessionKey.certified(payload.certificate);
        }
        if (userKey !== undefined) reportKey(progress, userKey, payload.keyTaken, attempt);
        if (leg === undefined || dial === undefined) {
          throw new SecurityError("E_TICKET", "The directory gave no ticket.");
        }
        if (!(await isAlive(leg))) {
          progress.step("the connection to the rendezvous did not last until the device answered; making it anew");
          onMilestone?.("dialling");
          leg = dial();
          void tellOf(leg, onMilestone);
        }
        const dialled = await leg;
        directory.proveSeen(signal);
        const allowPrivate = isAtPrivateAddress(directory);
        measureInBackground({ keys: folder, directory: fingerprint }, distances, offered, dialled, {
          allowPrivate,
          signal,
        });
        return openSession(suite, attempt, { keys: sessionKeys, limits: payload.limits }, dialled, progress);
      } catch (error) {
        giveUp(error);
        const hasGone = error instanceof UnavailableError && error.code === "E_OFFLINE";
        if (!hasGone || secondsUntil(waitUntil) === 0) throw error;
        // The directory took it for present and asked it in vain; by now it knows, and keeps the next request.
        progress.step("the device has gone; waiting for it");
        await delay(REPOST_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
      }
    }
  } catch (error) {
    const told = by?.verb === "doctor" ? error : withDoctor([keys.name, device.name, device.member], error);
    const trouble = ownEndTrouble(client.keys, parties.ownEnd, directory.now(), logTrouble(attempt, told));
    if (!(trouble instanceof DeniedError) || trouble.code !== "E_UNKNOWN_NAME") throw trouble;
    const { withSuggestion } = await import("./suggestion.ts");
    throw await withSuggestion(trouble, attempt, {
      directory: directory.client,
      sender: keys.x25519,
      keys: path,
      signal,
    });
  } finally {
    await directory.remembered(); // also what shows that the directory lies
  }
}

/** What goes wrong with a leg is told when it is needed. */
async function tellOf(leg: Promise<Leg>, onMilestone: Surroundings["onMilestone"]): Promise<void> {
  try {
    const { joined } = await leg;
    onMilestone?.("dialled");
    await joined;
    onMilestone?.("joined");
  } catch {}
}

/** Whole seconds, rounded up; 0 when that moment has passed. */
function secondsUntil(moment: number): number {
  return Math.max(0, Math.ceil((moment - performance.now()) / 1000));
}

/** Whether a leg has lasted until now. A device that was away for a while answers after its client's leg has given up. */
async function isAlive(leg: Promise<Leg>): Promise<boolean> {
  return await leg.then(
    ({ socket }) => !socket.destroyed,
    () => false,
  );
}

function sshKeyOf({ userKey, sessionKey }: Surroundings): RequestPayload["sshKey"] {
  if (sessionKey !== undefined) return { use: "certify", blob: sessionKey.blob };
  return userKey === undefined ? undefined : { use: "push", blob: userKey.key.blob };
}

function reportKey(progress: Progress, { source }: UserKey, taken: boolean, attempt: Attempt): void {
  if (taken) progress.step(`the device takes the key of ${source}, if it may write for that user`);
  else progress.note(keyNotTaken(attempt));
}
