import { once } from "node:events";
import { createServer, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Log } from "../../directory/log/log.ts";
import { LOG_PREFIX, logFile } from "../../directory/log/routes.ts";

/** A port of a directory's at which its log is another one than at the first. */
export interface SecondDoor extends AsyncDisposable {
  readonly port: number;
}

/** Passes all that is asked on to the directory at `first`, but for the public files of the log, which are those of `log`. */
export async function openSecondDoor(first: URL, log: Log): Promise<SecondDoor> {
  const server = createServer((asked, answer) => {
    const { url = "", method, headers } = asked;
    if (url.startsWith(LOG_PREFIX)) return void serve(log, url, answer).catch(() => answer.destroy());
    const passedOn = request(new URL(url, first), { method, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers).flushHeaders();
      response.pipe(answer);
    });
    passedOn.on("error", () => answer.destroy());
    answer.on("close", () => passedOn.destroy());
    asked.pipe(passedOn);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function serve(log: Log, url: string, answer: ServerResponse): Promise<void> {
  const file = await logFile(log, url);
  answer.writeHead(file?.status ?? 404, file?.headers).end(file?.body);
}
