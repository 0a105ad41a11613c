import { once } from "node:events";
import { isIP, type Socket } from "node:net";
import { utf8Text } from "../../keys/bytes.ts";
import { DeniedError, SetupError, SshnpError } from "../../keys/errors.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { PROXY_HEAD_BYTES, PROXY_PASSWORD_BYTES } from "../../protocol/limits.ts";
import { NobodyThereError } from "./nobody-there.ts";
import { connectPersistently } from "./persistent-connect.ts";
import { type ProxyAnswer, parseProxyAnswer } from "./proxy-answer.ts";
import { ProxyError } from "./proxy-error.ts";
import { proxyName, type ProxySettings } from "./proxy-settings.ts";
import { noteProxied } from "./reached.ts";

interface Tunnel {
  readonly host: string;
  readonly port: number;
}

interface Patience {
  readonly signal: AbortSignal;
  /** For the connection to the proxy and its answer, each. */
  readonly limitMs: number;
}

/**
 * A connection to a target through a proxy (CONNECT, RFC 9110 section 9.3.6). Nothing has been said on it yet; it is never in
 * the way of a half-close of its user's.
 * @throws {ProxyError} when the proxy is not there or does not do it; {DeniedError} E_PROXY_AUTH when it wants a password, or
 * another one; {SetupError} E_STORAGE, E_KEY_PERMISSIONS of the password file; the signal's reason.
 */
export async function openTunnel(proxy: ProxySettings, target: Tunnel, { signal, limitMs }: Patience): Promise<Socket> {
  const password = proxy.user === undefined ? undefined : await passwordOf(proxy, proxy.user);
  const socket = await connectTo(proxy, password !== undefined, { signal, limitMs });
  try {
    const place = `${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}`;
    const authorization = password === undefined ? "" : `Proxy-Authorization: Basic ${password}\r\n`;
    socket.write(`CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n${authorization}\r\n`);
    const answer = await readAnswer(socket, proxy, { signal, limitMs });
    if (answer.status >= 300) throw refusal(proxy, place, answer);
    socket.allowHalfOpen = true;
    noteProxied(socket, target.host);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** To the proxy itself, with TLS where it wants that. A password goes to nobody whose certificate does not verify. */
async function connectTo(proxy: ProxySettings, hasPassword: boolean, { signal, limitMs }: Patience): Promise<Socket> {
  let socket: Socket;
  try {
    socket = await connectPersistently(proxy, signal, limitMs);
  } catch (cause) {
    signal.throwIfAborted();
    const code = cause instanceof NobodyThereError ? ` (${cause.code})` : "";
    const next = "Check the name and port of the proxy, and this machine's network.";
    throw new ProxyError(`the proxy ${proxyName(proxy)} cannot be reached${code}`, next, cause);
  }
  socket.on("error", ignore);
  if (!proxy.isSecure) return socket;
  const { connect } = await import("node:tls");
  const servername = isIP(proxy.host) === 0 ? { servername: proxy.host } : { host: proxy.host };
  const secure = connect({ socket, ...servername, rejectUnauthorized: hasPassword });
  const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  try {
    await once(secure, "secureConnect", { signal: limit });
    return secure.on("error", ignore);
  } catch (cause) {
    secure.on("error", ignore).destroy();
    signal.throwIfAborted();
    const code = cause instanceof Error && "code" in cause && !limit.aborted ? ` (${String(cause.code)})` : "";
    const next = hasPassword
      ? "A password is sent to no proxy whose certificate does not verify. If its certificate is your company's own: NODE_EXTRA_CA_CERTS=FILE"
      : "Check that the proxy speaks TLS there; most do not, and are named with http://.";
    throw new ProxyError(`TLS with the proxy ${proxyName(proxy)} failed${code}`, next, cause);
  }
}

function readAnswer(socket: Socket, proxy: ProxySettings, { signal, limitMs }: Patience): Promise<ProxyAnswer> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const fail = (how: string, cause?: unknown): void =>
      settle(() => reject(new ProxyError(`the proxy ${proxyName(proxy)} ${how}`, NO_PROXY_THERE, cause)));
    const timer = setTimeout(() => fail(`has not answered for ${limitMs / 1000} s`), limitMs);
    const settle = (finish: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      socket.off("readable", onReadable).off("end", onEnd).off("close", onEnd);
      finish();
    };
    const onAbort = (): void => settle(() => reject(signal.reason));
    const onEnd = (): void => fail("closed the connection without an answer");
    // Not "data": whoever gets the socket would find it paused, or losing what comes.
    const onReadable = (): void => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      bytes = Buffer.concat([bytes, chunk.subarray(0, PROXY_HEAD_BYTES + 1 - bytes.length)]);
      let answer: ProxyAnswer | undefined;
      try {
        answer = parseProxyAnswer(bytes);
      } catch (cause) {
        return fail("answers, but not as an HTTP proxy", cause);
      }
      if (answer === undefined) return;
      const { status, length } = answer;
      // Who is behind a tunnel never speaks first here, so this comes from the proxy.
      if (status < 300 && bytes.length > length) return fail("says more than that the tunnel is there");
      settle(() => resolve(answer));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    socket.on("readable", onReadable).on("end", onEnd).on("close", onEnd);
    if (signal.aborted) onAbort();
    else if (socket.closed) onEnd();
  });
}

const NO_PROXY_THERE =
  "Check what HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names; hosts in NO_PROXY are reached without it.";

function refusal(proxy: ProxySettings, place: string, { status, schemes }: ProxyAnswer): Error {
  const name = proxyName(proxy);
  if (status === 407) return passwordWanted(proxy, schemes);
  if (status >= 500) {
    const next = `Check ${place}, and whether the proxy can reach it; if the proxy is not needed there: NO_PROXY=HOST`;
    const cause = new NobodyThereError(`status ${status}`, { saidBy: "proxy" });
    return new ProxyError(`the proxy ${name} does not reach it (status ${status})`, next, cause);
  }
  const next = `Ask whoever runs the proxy to permit CONNECT to ${place}. Many permit port 443 alone: there a rendezvous is reached at wss://HOST:443.`;
  return new ProxyError(`the proxy ${name} does not permit it (status ${status})`, next);
}

function passwordWanted(proxy: ProxySettings, schemes: readonly string[]): DeniedError {
  const hadPassword = proxy.user !== undefined && (proxy.password ?? proxy.passwordFile) !== undefined;
  const name = proxyName(proxy);
  const takesBasic = schemes.some((scheme) => scheme.toLowerCase() === "basic");
  const offered = schemes.length === 0 ? "no scheme" : schemes.slice(0, 4).join(", ");
  const fact =
    hadPassword && takesBasic
      ? `Proxy ${name} does not accept the password (407 ${offered}).`
      : `Proxy ${name} asks for a password (407 ${offered}).`;
  const url = `${proxy.isSecure ? "https" : "http"}://user@${name}`;
  const next = takesBasic
    ? `Set ${proxy.variable}=${url} and SSHNP_PROXY_PASSWORD_FILE; NTLM/Kerberos: run a local cntlm`
    : `Only Basic is spoken here; NTLM/Kerberos: run a local cntlm, and name that: ${proxy.variable}=http://127.0.0.1:3128`;
  return new DeniedError("E_PROXY_AUTH", fact, { next });
}

/** What Basic sends (RFC 7617), in base64. */
async function passwordOf({ password, passwordFile }: ProxySettings, user: string): Promise<string> {
  const text = password?.secretText() ?? (passwordFile === undefined ? "" : await readPassword(passwordFile));
  return Buffer.from(`${user}:${text}`).toString("base64");
}

async function readPassword(path: string): Promise<string> {
  const { readOutside } = await import("../../keys/outside-files.ts");
  const { stat } = await import("node:fs/promises");
  const bytes = await readOutside(path, PROXY_PASSWORD_BYTES);
  if (((await stat(path)).mode & 0o077) !== 0) {
    throw new SetupError("E_KEY_PERMISSIONS", `Others can read the proxy's password in ${shellWord(path)}.`, {
      next: `chmod 600 ${shellWord(path)}`,
    });
  }
  try {
    return utf8Text(bytes).replace(/\r?\n[^]*$/, "");
  } catch (cause) {
    if (!(cause instanceof SshnpError)) throw cause;
    throw new SetupError("E_STORAGE", `${shellWord(path)} holds no line of text.`, {
      next: "Its first line is the password.",
    });
  }
}

function ignore(): void {}
