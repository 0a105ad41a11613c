/** How long ago something was: `14 min`, `3 h`, `5 days`; `under a minute`. Times in ms. */
export function duration(milliseconds: number): string {
  const minutes = Math.max(0, Math.floor(milliseconds / 60_000));
  if (minutes < 1) return "under a minute";
  if (minutes < 120) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / (24 * 60))} days`;
}

/** `14 min ago`; `just now`. */
export function ago(time: number, now: number): string {
  return now - time < 60_000 ? "just now" : `${duration(now - time)} ago`;
}
