import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer, type TLSSocket } from "node:tls";

/** A company's TLS inspection: it ends TLS with a certificate of its own, reads everything, and goes on with TLS to the target. */
export interface Interceptor extends AsyncDisposable {
  readonly port: number;
  /** All that it has read in clear, of both directions. */
  readonly read: Buffer;
}

export async function startInterceptor(
  target: number,
  certificate: { readonly cert: string; readonly key: string },
): Promise<Interceptor> {
  const pieces: Buffer[] = [];
  const sockets = new Set<TLSSocket>();
  const keep = (socket: TLSSocket): TLSSocket => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    return socket.on("data", (chunk: Buffer) => pieces.push(chunk));
  };
  const server = createServer({ ...certificate, allowHalfOpen: true }, (near) => {
    const far = connect({ port: target, host: "127.0.0.1", rejectUnauthorized: false });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      keep(socket).pipe(other);
      socket.on("close", () => other.destroy());
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    get read() {
      return Buffer.concat(pieces);
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), "close");
    },
  };
}

/** What "Example Corp Inspection CA" has signed for np.example.org, made for these tests and of no other use. */
export const INSPECTION = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgm9xFnaXifde3D8pF
IdmGaZVLyTG6SpeFCYa6LlfClo+hRANCAARjkCKRxY0gkJx/zRf5pnNTC+yaiv9r
5NDtYTYge6FhNZCJptZLVJ/mkJ2N4B1S2/u+WFLeehqgFSGHplYoqFkz
-----END PRIVATE KEY-----\n`,
  cert: `-----BEGIN CERTIFICATE-----
MIIB3jCCAYWgAwIBAgIUde4yBBVc2LnNHWNrfWbHqbGjoKMwCgYIKoZIzj0EAwIw
PDEVMBMGA1UECgwMRXhhbXBsZSBDb3JwMSMwIQYDVQQDDBpFeGFtcGxlIENvcnAg
SW5zcGVjdGlvbiBDQTAgFw0yNjExMjkxOTE2MDhaGA8yMTI2MTEwNTE5MTYwOFow
GTEXMBUGA1UEAwwObnAuZXhhbXBsZS5vcmcwWTATBgcqhkjOPQIBBggqhkjOPQMB
BwNCAARjkCKRxY0gkJx/zRf5pnNTC+yaiv9r5NDtYTYge6FhNZCJptZLVJ/mkJ2N
4B1S2/u+WFLeehqgFSGHplYoqFkzo4GFMIGCMEAGA1UdEQQ5MDeCDm5wLmV4YW1w
bGUub3Jngg9kaXIuZXhhbXBsZS5vcmeCDnJ2LmV4YW1wbGUub3JnhwR/AAABMB0G
A1UdDgQWBBRaE/diX+misaalKt9BZCt2wdcUMTAfBgNVHSMEGDAWgBSJc2APk2dz
BJqXu4EEgDs0qXSVATAKBggqhkjOPQQDAgNHADBEAiAW/joU7O6JI2w6sY8/Gn7X
0n8rwQEdBs0t+DCrlEExDgIgDUsb0zRSN0MgSfN6rja0RWu+Pd90HcGvVE+i6j9d
9XU=
-----END CERTIFICATE-----\n`,
};
