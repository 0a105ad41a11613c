import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import { startProcess } from "./processes.ts";
import { temporaryFolder } from "./temp-folder.ts";

export interface ReverseProxyOptions {
  /** Ports of 127.0.0.1 that are asked for at the start. */
  readonly directory: number;
  readonly rendezvous: number;
  /** PEM. */
  readonly tls: { readonly cert: string; readonly key: string };
}

/** A real haproxy with TLS on one port of 127.0.0.1, and a directory and a rendezvous behind it. */
export interface ReverseProxy extends AsyncDisposable {
  readonly port: number;
}

export async function startReverseProxy({ directory, rendezvous, tls }: ReverseProxyOptions): Promise<ReverseProxy> {
  const folder = await temporaryFolder();
  try {
    const port = await freePort();
    const certificate = join(folder.path, "tls.pem");
    await writeFile(certificate, tls.cert + tls.key, { mode: 0o600 });
    const configuration = join(folder.path, "haproxy.cfg");
    const lines = [
      "defaults",
      "  mode http",
      "  timeout connect 5s",
      "  timeout client 60s",
      "  timeout server 60s",
      "  timeout tunnel 1h",
      "frontend https",
      `  bind 127.0.0.1:${port} ssl crt ${certificate} alpn http/1.1`,
      "  use_backend rendezvous if { path /v1/leg }",
      "  default_backend directory",
      "backend directory",
      `  server directory 127.0.0.1:${directory}`,
      "backend rendezvous",
      `  server rendezvous 127.0.0.1:${rendezvous}`,
    ];
    await writeFile(configuration, lines.map((line) => `${line}\n`).join(""));
    const env = { HOME: folder.path, PATH: `${process.env["PATH"]}:/usr/sbin` };
    const haproxy = startProcess("haproxy", ["-W", "-db", "-f", configuration], { env });
    await haproxy.errorLine(/Loading success/);
    await listening(port);
    return {
      port,
      [Symbol.asyncDispose]: async () => {
        await haproxy.stop();
        await folder.remove();
      },
    };
  } catch (error) {
    await folder.remove();
    throw error;
  }
}

async function listening(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.destroy();
}
