/** What lines of an audit tell of; docs/audit.md says what each is. */
export const AUDIT_EVENTS = [
  "begun",
  "started",
  "session",
  "link up",
  "link down",
  "clone",
  "activation",
  "statements",
  "password",
  "enrolment",
  "rendezvous",
  "name added",
  "rendezvous added",
  "rendezvous removed",
  "witness added",
  "witness removed",
  "anchored",
  "torn",
  "lost",
  "missing",
] as const;

export type AuditEvent = (typeof AUDIT_EVENTS)[number];

/** Whether there is such an event. */
export function isAuditEvent(word: string): word is AuditEvent {
  return (AUDIT_EVENTS as readonly string[]).includes(word);
}
