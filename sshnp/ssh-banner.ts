/**
 * What a server says it is in the first bytes that come from it, `SSH-2.0-OpenSSH_9.2p1`, once that line is whole (RFC 4253
 * section 4.2, which lets other lines stand ahead of it); `more` while it may still come, undefined when this is no SSH server. Control
 * characters in it are its own: it is to be quoted.
 */
export function sshBanner(first: string): { readonly banner: string } | "more" | undefined {
  const lines = first.split("\n");
  const banner = lines.slice(0, -1).find((line) => line.startsWith("SSH-"));
  if (banner !== undefined) return banner.length > BANNER_LENGTH ? undefined : { banner: banner.replace(/\r$/, "") };
  return first.length > AHEAD_LENGTH ? undefined : "more";
}

/** RFC 4253 section 4.2, with its end of line but the newline. */
const BANNER_LENGTH = 254;
/** A server that says more than that ahead of it is none. */
const AHEAD_LENGTH = 8 * 1024;
