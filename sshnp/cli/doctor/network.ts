import { lookup } from "node:dns/promises";
import { connect, isIP, type Socket } from "node:net";
import { certificateAt, placeOf, ProxyError, proxyFor, proxyNameFor } from "../../../directory/client.ts";
import { assert, SshnpError, UnavailableError } from "../../../keys/errors.ts";
import { inTime } from "../../../keys/in-time.ts";
import { quoted } from "../../../keys/names.ts";
import { LOOK_MS } from "../../../protocol/limits.ts";

/** Where a directory's URL leads, and whether it is through a proxy, whose name that is. */
export interface Way {
  readonly url: URL;
  readonly host: string;
  readonly port: number;
  readonly proxy: string | undefined;
}

/** The way that sessions take. @throws {SetupError} E_USAGE for a variable that names no proper proxy. */
export async function wayTo(url: URL): Promise<Way> {
  const { host, port } = placeOf(url);
  return { url, host, port, proxy: await proxyNameFor(targetOf(url)) };
}

function targetOf(url: URL): { readonly kind: "http" | "https"; readonly host: string; readonly port: number } {
  const { host, port, isSecure } = placeOf(url);
  return { kind: isSecure ? "https" : "http", host, port };
}

/** The IP addresses of a host. @throws {UnavailableError} E_DIRECTORY, E_TIMEOUT. */
export async function addressesOf(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  const found = await lookInTime(`the name ${quoted(host)} is not looked up`, (_signal) =>
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

/** Connects, through the proxy where there is one, and takes so many ms for it. @throws {UnavailableError} E_DIRECTORY, E_TIMEOUT; {DeniedError} E_PROXY_AUTH; {SetupError} of a proxy's password. */
export async function timeToConnect({ url, host, port }: Way): Promise<number> {
  const begun = performance.now();
  const socket = await lookInTime(`${host}:${port} does not answer`, async (signal) => {
    const openTunnel = await proxyFor(targetOf(url));
    if (openTunnel !== undefined) return await openTunnel({ signal, limitMs: LOOK_MS });
    return await connected(connect({ host, port }), signal);
  }).catch((cause: unknown) => {
    if (cause instanceof SshnpError) throw cause;
    if (cause instanceof ProxyError) {
      const fact = `${host}:${port} cannot be connected to: ${cause.message}.`;
      throw new UnavailableError("E_DIRECTORY", fact, { next: cause.next, cause });
    }
    throw new UnavailableError("E_DIRECTORY", `${host}:${port} cannot be connected to (${codeOf(cause)}).`, {
      next: "Check this machine's network and firewall, and on the directory's machine whether sshnp-directory runs.",
      cause,
    });
  });
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

/** Of an https URL, on the way that sessions take. @throws as timeToConnect, and {UnavailableError} E_DIRECTORY when no TLS comes about. */
export async function certificateOf(url: URL): Promise<Certificate> {
  const { host, port } = placeOf(url);
  const shown = await lookInTime(`no TLS comes about with ${host}:${port}`, (signal) =>
    certificateAt(url, { signal }),
  ).catch((error: unknown) => {
    if (!(error instanceof SshnpError) || error.code !== "E_DIRECTORY") throw error;
    const { cause } = error;
    throw new UnavailableError("E_DIRECTORY", `No TLS comes about with ${host}:${port} (${codeOf(cause)}).`, {
      next: "Does the directory speak https there? Its address may have to begin with http://.",
      cause,
    });
  });
  assert(shown !== undefined, "https shows a certificate");
  const { subject, issuer, until, distrusted: doubt } = shown;
  return { doubt, subject: quoted(subject || "no name"), issuer: quoted(issuer || "no name"), until };
}

async function connected(socket: Socket, signal: AbortSignal): Promise<Socket> {
  return await new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => socket.destroy(), { once: true });
    socket.once("connect", () => resolve(socket));
    socket.on("error", reject);
    socket.once("close", () => reject(Object.assign(new Error("closed"), { code: "ECONNRESET" })));
  });
}

/** Gives `action` LOOK_MS. @throws {UnavailableError} E_TIMEOUT; what it throws. */
async function lookInTime<T>(what: string, action: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  try {
    return await inTime(action(late.signal), LOOK_MS, () => {
      throw new UnavailableError("E_TIMEOUT", `Within ${LOOK_MS / 1000} s ${what}.`, {
        next: "A firewall in between may drop it. Check the network, or ask whoever runs it.",
      });
    });
  } catch (error) {
    late.abort();
    throw error;
  }
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "no reason given";
}
