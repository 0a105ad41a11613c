import { SESSIONS, SESSIONS_PER_CLIENT, SESSIONS_PER_CLIENT_AND_DEVICE } from "../protocol/limits.ts";
import type { Prologue } from "../protocol/messages/prologue.ts";
import type { SessionRequest } from "../protocol/messages/session-request.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { Party } from "./presence.ts";

interface Entry {
  /** The session id in hex. */
  readonly sid: string;
  readonly request: SessionRequest;
  readonly phase: { readonly kind: "waiting" | "asked" | "answered" };
}

/**
 * Sessions by their id, device and client. One name has a share, a fifth, of all sessions, and of that one for each device; an
 * owner makes as many members as he likes.
 */
export class SessionTable<Session extends Entry> {
  readonly #sessions = new Map<string, Session>();
  /** Sessions by {@link groupsOf}. */
  readonly #groups = new Map<string, Set<Session>>();

  get(sid: string): Session | undefined {
    return this.#sessions.get(sid);
  }

  all(): Iterable<Session> {
    return this.#sessions.values();
  }

  /** All with that device. */
  of(device: Party): Iterable<Session> {
    return this.#groups.get(bindingSubject(device)) ?? [];
  }

  /** Whether there is any with that device. */
  hasFor(device: Party): boolean {
    return this.#groups.has(bindingSubject(device));
  }

  /** Those that wait for the same device, of the same client. */
  waitingLike({ client, device }: Prologue): Session[] {
    const subject = bindingSubject(client);
    const isLike = ({ phase, request }: Session): boolean =>
      phase.kind === "waiting" && bindingSubject(request.prologue.client) === subject;
    return [...this.of(device)].filter(isLike);
  }

  /** How many there are of each phase. */
  phases(): Readonly<Record<Entry["phase"]["kind"], number>> {
    const counts: Record<Entry["phase"]["kind"], number> = { waiting: 0, asked: 0, answered: 0 };
    for (const { phase } of this.#sessions.values()) counts[phase.kind] += 1;
    return counts;
  }

  add(session: Session): void {
    this.#sessions.set(session.sid, session);
    for (const key of Object.values(groupsOf(session.request.prologue))) {
      const group = this.#groups.get(key) ?? new Set();
      this.#groups.set(key, group.add(session));
    }
  }

  remove(session: Session): void {
    this.#sessions.delete(session.sid);
    for (const key of Object.values(groupsOf(session.request.prologue))) {
      const group = this.#groups.get(key);
      group?.delete(session);
      if (group?.size === 0) this.#groups.delete(key);
    }
  }

  /** Whether one more fits. Room that is made in the smallest of them is made in all. */
  hasRoomFor(prologue: Prologue): boolean {
    const { client, both } = groupsOf(prologue);
    return (
      this.#hasRoom(this.#groups.get(both), SESSIONS_PER_CLIENT_AND_DEVICE) &&
      this.#hasRoom(this.#groups.get(client), SESSIONS_PER_CLIENT) &&
      this.#hasRoom(this.#sessions, SESSIONS)
    );
  }

  /** Whether one more fits; of these, the one that was begun first of those answered makes room. */
  #hasRoom(sessions: Pick<Map<unknown, Session>, "size" | "values"> | undefined, most: number): boolean {
    if (sessions === undefined || sessions.size < most) return true;
    for (const session of sessions.values()) {
      if (session.phase.kind !== "answered") continue;
      this.remove(session);
      return true;
    }
    return false;
  }
}

/** What a session is found by: its device, its client's name, and both; a subject has a slash, a name has none. */
function groupsOf({ client, device }: Prologue): {
  readonly device: string;
  readonly client: string;
  readonly both: string;
} {
  const subject = bindingSubject(device);
  return { device: subject, client: client.name, both: `${client.name} ${subject}` };
}
