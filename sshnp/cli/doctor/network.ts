import { lookup } from "node:dns/promises";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls, type PeerCertificate } from "node:tls";
import { UnavailableError } from "../../../keys/errors.ts";
import { quoted } from "../../../keys/names.ts";
import { LOOK_MS } from "../../../protocol/limits.ts";

/** Where a URL leads. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

export function placeOf(url: URL): Place {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return { host, port: url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port) };
}

/** The IP addresses of a host. @throws {UnavailableError} E_DIRECTORY, E_TIMEOUT. */
export async function addressesOf(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  const found = await inTime(`the name ${quoted(host)} is not looked up`, (_signal) =>
    lookup(host, { all: true }),
  ).catch((cause: unknown) => {
    if (cause instanceof UnavailableError) throw cause;
    throw new UnavailableError("E_DIRECTORY", `The name ${quoted(host)} leads to no address (${codeOf(cause)}).`, {
      next: "Check the spelling of the directory's address, and this machine's DNS: getent hosts HOST",
      cause,
    });
  });
  return found.map(({ address }) => address);
}

/** Connects, and takes so many ms for it. @throws {UnavailableError} E_DIRECTORY, E_TIMEOUT. */
export async function timeToConnect({ host, port }: Place): Promise<number> {
  const begun = performance.now();
  const what = `${host}:${port} does not answer`;
  const socket = await inTime(what, (signal) => connected(connect({ host, port }), "connect", signal)).catch(
    (cause: unknown) => {
      if (cause instanceof UnavailableError) throw cause;
      throw new UnavailableError("E_DIRECTORY", `${host}:${port} cannot be connected to (${codeOf(cause)}).`, {
        next: "Check this machine's network and firewall, and on the directory's machine whether sshnp-directory runs.",
        cause,
      });
    },
  );
  socket.destroy();
  return performance.now() - begun;
}

/** What a server shows of itself over TLS. */
export interface Certificate {
  /** Why it does not verify; undefined: it does. */
  readonly doubt: string | undefined;
  readonly subject: string;
  readonly issuer: string;
  /** As the certificate writes it. */
  readonly until: string;
}

/** @throws {UnavailableError} E_DIRECTORY, E_TIMEOUT when no TLS comes about. */
export async function certificateOf({ host, port }: Place): Promise<Certificate> {
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const tls = connectTls({ host, port, ...servername, ALPNProtocols: ["http/1.1"], rejectUnauthorized: false });
  await inTime(`no TLS comes about with ${host}:${port}`, (signal) => connected(tls, "secureConnect", signal)).catch(
    (cause: unknown) => {
      if (cause instanceof UnavailableError) throw cause;
      throw new UnavailableError("E_DIRECTORY", `No TLS comes about with ${host}:${port} (${codeOf(cause)}).`, {
        next: "Does the directory speak https there? Its address may have to begin with http://.",
        cause,
      });
    },
  );
  const shown: Partial<PeerCertificate> = tls.getPeerCertificate(); // none, where it has gone meanwhile
  const { subject, issuer, valid_to: until = "" } = shown;
  const reason: unknown = tls.authorizationError;
  tls.destroy();
  return {
    doubt: tls.authorized ? undefined : reason instanceof Error ? reason.message : String(reason),
    ...{ subject: nameOf(subject), issuer: nameOf(issuer), until },
  };
}

/** A certificate's names may be of any content, and missing. */
function nameOf(
  holder: { readonly CN?: string | readonly string[]; readonly O?: string | readonly string[] } | undefined,
): string {
  return quoted([holder?.CN ?? holder?.O ?? "no name"].flat().join(", "));
}

async function connected<T extends Socket>(
  socket: T,
  event: "connect" | "secureConnect",
  signal: AbortSignal,
): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    signal.addEventListener("abort", () => socket.destroy(), { once: true });
    socket.once(event, () => resolve(socket));
    socket.on("error", reject);
    socket.once("close", () => reject(Object.assign(new Error("closed"), { code: "ECONNRESET" })));
  });
}

/** Gives `action` LOOK_MS. @throws {UnavailableError} E_TIMEOUT; what it throws. */
async function inTime<T>(what: string, action: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(
        new UnavailableError("E_TIMEOUT", `Within ${LOOK_MS / 1000} s ${what}.`, {
          next: "A firewall in between may drop it. Check the network, or ask whoever runs it.",
        }),
      );
      late.abort();
    }, LOOK_MS);
  });
  try {
    return await Promise.race([action(late.signal), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "no reason given";
}
