import type { MemberName, Name } from "../keys/names.ts";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import type { Log } from "./log.ts";
import type { CertifiedKey } from "./session-keys.ts";

/** How this device comes by an SSH server: `auto` is one of the other three at a time, whichever is there. */
export const SSH_MODES = ["auto", "tcp", "inetd", "builtin", "off"] as const;
export type SshMode = (typeof SSH_MODES)[number];

/** Who has proved itself and been let in, as which user of this machine; an empty login: none was named. */
export interface SshVisitor {
  readonly client: Name;
  readonly member: MemberName;
  readonly login: string;
  /** The key of this one session, where the device has certified one for that login. */
  readonly certified?: CertifiedKey | undefined;
}

/** What became of one stream: bytes that went to the server, and that came from it. */
export interface Served {
  readonly received: number;
  readonly sent: number;
  /** Resolves, and never rejects, when nothing more is carried and the counts are final. */
  readonly closed: Promise<void>;
}

/** The SSH server of this device, whatever it is. */
export interface SshServer {
  readonly mode: Exclude<SshMode, "auto">;
  /**
   * The host keys that whoever logs in as `login` will meet, as public key blobs, one at least. Nothing is changed by it but
   * keys of the server's own, which may be made.
   * @throws {UnavailableError} E_NO_SSHD when there is no server; {DeniedError} E_NO_SSHD when there is none for
   * this login; {SetupError} when this machine is not as it should be. The fact is for the client, the next step for the device.
   */
  hostKeys(login: string): Promise<readonly Uint8Array[]>;
  /**
   * Joins the stream, of a client that may have it, with the server: accepted once the server is there, refused as unreachable
   * when it does not come. Half-close is kept; what belongs to the stream ends with it. `log` names the session.
   */
  serve(stream: ChannelStream, visitor: SshVisitor, log: Log): Served;
  /** Ends what is still served, and resolves when nothing of it is left on this machine. */
  close(): Promise<void>;
}
