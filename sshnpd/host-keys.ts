import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { SetupError, SshnpError, UnavailableError } from "../keys/errors.ts";
import { type PublicKeyLine, parsePublicKeyLine } from "../keys/openssh.ts";
import { HOST_KEYS, SSH_KEY_BYTES } from "../protocol/limits.ts";
import { listeningSockets } from "./listening-sockets.ts";

/**
 * The host keys that the device's SSH server presents over loopback, as ssh-keyscan(1) sees them. They go into every
 * answer and so are remembered: a scan costs the server three connections, which newer ones count against 127.0.0.1
 * (PerSourcePenalties of sshd_config(5)). The server is asked again when another socket listens on its port, as it does
 * after every restart and reload, and after a while in any case.
 */
export class HostKeys {
  readonly #port: number;
  readonly #now: () => number;
  readonly #signal: AbortSignal;
  #newest:
    | { readonly blobs: readonly Uint8Array[]; readonly sockets: string | undefined; readonly at: number }
    | undefined;
  #scanning: Promise<readonly Uint8Array[]> | undefined;
  #looking: Promise<string | undefined> | undefined;

  /** `now` in milliseconds of a clock that does not run backwards. The scans end with `signal`. */
  constructor(port: number, now: () => number, signal: AbortSignal) {
    this.#port = port;
    this.#now = now;
    this.#signal = signal;
  }

  /**
   * Public key blobs, one at least.
   * @throws {UnavailableError} E_NO_SSHD when nothing that speaks SSH answers on the port; {SetupError} E_NO_SSH when
   * ssh-keyscan is missing.
   */
  async current(): Promise<readonly Uint8Array[]> {
    this.#looking ??= listeningSockets(this.#port).finally(() => (this.#looking = undefined));
    const sockets = await this.#looking;
    const newest = this.#newest;
    const maxAge = sockets === undefined ? UNWATCHED_MS : WATCHED_MS;
    if (newest !== undefined && newest.sockets === sockets && this.#now() - newest.at < maxAge) return newest.blobs;
    this.#scanning ??= this.#scan(sockets).finally(() => (this.#scanning = undefined));
    return await this.#scanning;
  }

  async #scan(sockets: string | undefined): Promise<readonly Uint8Array[]> {
    const at = this.#now();
    let scan = await scanHostKeys(this.#port, this.#signal);
    if (!scan.isComplete) scan = await scanHostKeys(this.#port, this.#signal);
    // A busy server turns connections away (MaxStartups). What it presented before is then better than half of it.
    if (!scan.isComplete && this.#newest !== undefined && this.#newest.sockets === sockets) {
      this.#newest = { ...this.#newest, at: at - WATCHED_MS + UNWATCHED_MS }; // it is spared for a minute
      return this.#newest.blobs;
    }
    this.#newest = scan.isComplete && scan.blobs.length > 0 ? { blobs: scan.blobs, sockets, at } : undefined;
    if (scan.blobs.length === 0) throw noSshServer(this.#port, scan);
    return scan.blobs;
  }
}

export interface HostKeyScan {
  /** Public key blobs, in an order that does not change from scan to scan. */
  readonly blobs: readonly Uint8Array[];
  /** False when the server, or nothing at all, broke a connection off, so that more keys may be there. */
  readonly isComplete: boolean;
}

/** @throws {SetupError} E_NO_SSH when ssh-keyscan is missing. */
export async function scanHostKeys(port: number, signal: AbortSignal): Promise<HostKeyScan> {
  const types = "ed25519,ecdsa,rsa";
  const keyscan = execute("ssh-keyscan", ["-T", String(SCAN_MS / 1000), "-p", String(port), "-t", types, "127.0.0.1"], {
    timeout: 2 * SCAN_MS,
    killSignal: "SIGKILL",
    maxBuffer: MAX_OUTPUT_BYTES,
    signal,
  });
  // Some versions end with status 1 when a type is not there, and print the others all the same.
  const { stdout, stderr } = await keyscan.catch((error: KeyscanFailure) => {
    if (error.code === "ENOENT") throw keyscanMissing();
    return { stdout: error.stdout ?? "", stderr: error.killed === true ? "timed out" : (error.stderr ?? "") };
  });
  const blobs = parseKeyscan(stdout)
    .toSorted((a, b) => (a.line < b.line ? -1 : 1)) // they come in the order of the answers
    .map((key) => key.blob)
    .filter((blob) => blob.length <= SSH_KEY_BYTES)
    .slice(0, HOST_KEYS);
  return { blobs, isComplete: !BROKEN_OFF.test(stderr) };
}

/** The keys in what ssh-keyscan prints: `HOST TYPE BASE64` and comments. Whatever else stands there is passed over. */
export function parseKeyscan(text: string): PublicKeyLine[] {
  return text.split("\n").flatMap((line) => {
    const [, key] = /^[^#\s]\S* (\S+ \S+)$/.exec(line) ?? [];
    try {
      return key === undefined ? [] : [parsePublicKeyLine(key)];
    } catch (error) {
      if (error instanceof SshnpError) return [];
      throw error;
    }
  });
}

const execute = promisify(execFile);

interface KeyscanFailure {
  readonly code?: unknown;
  readonly killed?: boolean;
  readonly stdout?: string;
  readonly stderr?: string;
}

/** Of what ssh-keyscan says on stderr. */
const BROKEN_OFF = /closed by|reset by|timed out|refused/i;

/** Where restarts of the server are seen: sshd under socket activation may get new keys and keep its socket. */
const WATCHED_MS = 10 * 60_000;
const UNWATCHED_MS = 60_000;
/** For one connection over loopback; a small board may take a second for its key exchange. */
const SCAN_MS = 5_000;
const MAX_OUTPUT_BYTES = 64 * 1024;

function noSshServer(port: number, { isComplete }: HostKeyScan): UnavailableError {
  const what = isComplete
    ? `No SSH server on this device: nothing answers on its 127.0.0.1:${port}.`
    : `No SSH server on this device: what listens on its 127.0.0.1:${port} closes connections, or is silent.`;
  return new UnavailableError("E_NO_SSHD", what, {
    next: `See on the device why: ssh-keyscan -p ${port} 127.0.0.1   Start an SSH server there, or give its port: sshnpd --ssh-port PORT`,
  });
}

function keyscanMissing(): SetupError {
  return new SetupError("E_NO_SSH", "ssh-keyscan is not installed, so the SSH server's host keys cannot be told.", {
    next: "Install it (Debian: apt-get install openssh-client).",
  });
}
